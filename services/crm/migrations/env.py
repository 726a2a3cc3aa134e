from chassis.migrations import run
from services.crm.models import Base

run(Base.metadata)
