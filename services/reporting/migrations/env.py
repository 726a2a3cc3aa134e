from chassis.migrations import run
from services.reporting.models import Base

run(Base.metadata)
