"""What can go wrong at the front door. Each error carries its status code and a stable type."""

from __future__ import annotations

from chassis.problems import Conflict, Forbidden, Invalid, NotFound, Problem, TooManyRequests, Unauthorised, Unavailable


class NoSuchAccount(NotFound):
    slug, title = "no-such-account", "There is no such account"


class NoSuchOrganisation(NotFound):
    slug, title = "no-such-organisation", "There is no such organisation"


class NoSuchService(NotFound):
    slug, title = "no-such-service", "There is nothing at this address"


class OrganisationExists(Conflict):
    slug, title = "organisation-exists", "The organisation exists already"


class AccountExists(Conflict):
    slug, title = "account-exists", "The account exists already"


class SharedAccount(Conflict):
    slug, title = "shared-account", "The account belongs to others too"


class InvitationUnknown(NotFound):
    slug, title = "invitation-unknown", "There is no such invitation"


class UnusableEmail(Invalid):
    slug, title = "unusable-email", "This is not an e-mail address"


class WrongPassword(Unauthorised):
    slug, title = "wrong-password", "E-mail or password is wrong"


class LetterOver(Problem):
    status, slug, title = 410, "letter-over", "The link opens nothing any more"


class PersonNeeded(Invalid):
    slug, title = "person-needed", "Say who you are"


class WeakPassword(Invalid):
    slug, title = "weak-password", "The password is too easy to guess"


class PasswordChangeNeeded(Forbidden):
    slug, title = "password-change-needed", "Change the one-time password first"


class PasswordExpired(Unauthorised):
    slug, title = "password-expired", "The one-time password has expired"


class TooManyAttempts(TooManyRequests):
    slug, title = "too-many-attempts", "Too many wrong passwords"


class BadCredentials(Unauthorised):
    slug, title = "bad-credentials", "The credentials are not valid"


class NotAMember(Forbidden):
    slug, title = "not-a-member", "The account has no role in this organisation"


class CsrfRefused(Forbidden):
    slug, title = "csrf", "The request does not come from our own page"


class RolesRefused(Forbidden):
    slug, title = "roles-refused", "You cannot give these roles"


class SessionNeeded(Forbidden):
    slug, title = "session-needed", "A person must do this, signed in"


class SettingRefused(Problem):
    status, slug, title = 422, "setting-refused", "An organisation cannot be set to this"


class BadRequest(Problem):
    status, slug, title = 400, "bad-request", "The request is malformed"


class BadAnswer(Problem):
    status, slug, title = 502, "bad-answer", "The service did not answer properly"


class ServiceDown(Unavailable):
    slug, title = "service-down", "The service is not available"


class ServiceSlow(Problem):
    status, slug, title = 504, "service-slow", "The service did not answer in time"
