"""The local platform: embedded PostgreSQL and Kafka, the services, the card provider and the mail catcher."""
