"""What schemathesis is told of this API beyond its document."""

import json
import os
import re

import schemathesis

# Ids that lead to something: without them nearly every case for one thing would end in a 404.
SEEDED = {
    name.removeprefix("SEED_").lower(): value for name, value in os.environ.items() if name.startswith("SEED_")
}

# Refusals of what a schema lets through, each with the reason why a schema cannot say it: the field, and how the message
# begins.
UNSAYABLE = [
    # Where deliveries may go depends on the addresses that the server is allowed to call.
    ("url", r"`?\S+ is .*--allow-network"),
    ("url", r"localhost is a loopback address"),
    # The grammar of a URL (ports, percent-encoding, IDNA, the length once encoded) is more than a pattern can hold.
    ("url", r"is not a valid URL"),
    ("url", r"must have (a host|a port|no user name|no spaces)"),
    ("url", r"must be at most 2048 bytes"),
    ("website", r"must be an absolute http or https URL"),
    # OpenAPI 3.0 has no rules for the names of members, nor for the size of an object in bytes.
    (r"headers\..*", r"is not a header name|may not be set|is given more than once"),
    ("headers", r"must be at most 32768 bytes"),
    ("headers", r"must be at most 100 headers"),
    # A mask stands for a value that the caller has not seen; only some names are masked.
    (r"headers\..*", r"has the value \*{8}"),
    # A duration is a number and a unit: no bound of its own can be put on it.
    (r"retry_schedule(\[\d+\])?", r"must have no delay over 30d|`\d+\w+` is (longer than|not a duration)"),
    # `format: email` leaves open which domains there can be.
    ("email", r"must be an e-mail address|must be at most 254 bytes"),
    # Length counts after trimming.
    ("(account_)?name", r"must have (1 to [12]00 characters after trimming|no control characters)"),
    # The characters that nobody sees lie beyond U+FFFF too, where a pattern of OpenAPI 3.0 has no ranges. In a name their
    # neighbours count.
    ("(account_)?name|email|website|url", r"must have no invisible characters, and has U\+[0-9A-F]{4,6}$"),
    ("(account_)?name", r"has the invisible character U\+[0-9A-F]{4,6} where it changes nothing that is seen$"),
    # Depends on the clock, and on which accounts there are. The form of an id may change.
    ("expires_at", r"must be (in the future|at most ten years from now)"),
    ("account_id", r"there is no account with this id|must be 1 to 64 characters out of"),
    # One field bounds another.
    ("until", r"must be later than since"),
    (r"header_templates\..*", r"is in headers too"),
    # Opaque, so that its form may change.
    ("event_id", r"an id of an event is "),
    ("data", r"give exactly one of event_id, data and last"),
    ("event_type", r"belongs to data"),
    # With a pattern generators make a type of its own at each place.
    (r"event_types?(\[\d+\])?", r"must have 1 to (128|50) "),
    # A count and a unit: no bound of its own can be put on the count.
    ("rate_limit", r"`\S+` is not a rate"),
    # Languages with a grammar.
    (r"filter|body_template|header_templates\..*", r"line \d+, column \d+: "),
    (r"header_templates\..*", r"is not a header name|may not be set|is given more than once"),
    ("header_templates", r"must be at most"),
    # A time that RFC 3339 can write, but that lies outside of 1970 to 9999.
    ("since|until", r".* is not an RFC 3339 time"),
]

# The same for query parameters, whose faults are one sentence.
UNSAYABLE_PARAMETERS = [
    # Opaque, so that its form may change: a client never makes one up.
    r"The query parameter `cursor` is wrong: is not a cursor",
    r"The query parameter `(account|event|destination)_id` is wrong",
    r"The query parameter `(since|until)` is wrong: .* is not an RFC 3339 time",
    r"The (query parameter `event_type`|header Event-Type) is wrong: (it )?must have 1 to 128 ",
    r"The query parameter `email` is wrong: must be an e-mail address",
    # Whether a key was used before is no matter of form.
    r"This Idempotency-Key was used for another body",
    # The same reasons as in bodies.
    r"The query parameter `bucket` is wrong: `\d+\w+` is (longer than|not a duration)",
    r"a bucket must be a whole number of minutes",
    r"`until` must lie after `since`",
    r"the window holds over 1500 buckets",
]


# Operations whose body may be missing.
MAY_BE_MISSING = {"rotateToken", "retryDelivery"}


@schemathesis.hook
def before_generate_path_parameters(context, strategy):
    def lead_somewhere(parameters):
        # Anything else is schemathesis' own note of what it broke on purpose.
        if not isinstance(parameters, dict):
            return parameters
        return {name: SEEDED.get(name, value) for name, value in parameters.items()}

    if context.operation.method == "delete":
        return strategy
    return strategy | strategy.map(lead_somewhere)


@schemathesis.hook
def filter_case(context, case):
    """Leaves out what is right in two readings.

    `0.0` is the whole number 0 to JSON Schema and to the server; schemathesis takes it for a wrong type. Where a body may
    be missing, generated clients send `null` for it, so the server takes that.
    """
    if case.body is None and case.operation.definition.raw.get("operationId") in MAY_BE_MISSING:
        return False
    values = case.body.values() if isinstance(case.body, dict) else ()
    return not any(isinstance(value, float) and value.is_integer() for value in values)


@schemathesis.check
def refused_only_for_what_a_schema_cannot_say(ctx, response, case):
    """A case that the schema lets through is refused for a listed reason or not at all."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in (400, 422):
        return
    problem = response.json()
    if problem.get("errors"):
        for fault in problem["errors"]:
            listed = any(
                re.fullmatch(field, fault["field"], re.DOTALL) and re.match(message, fault["message"], re.DOTALL)
                for field, message in UNSAYABLE
            )
            assert listed, f"the schema does not say: {fault['field']} {fault['message']}"
    else:
        listed = any(re.match(message, problem["detail"], re.DOTALL) for message in UNSAYABLE_PARAMETERS)
        assert listed, f"the document does not say: {problem['detail']}"


RANKS = {"viewer": 0, "operator": 1, "admin": 2}


@schemathesis.check
def role_is_kept(ctx, response, case):
    """With the token of a role: 403 where the operation needs more and nowhere else, and nothing of another account."""
    role, foreign = os.environ.get("ROLE"), json.loads(os.environ.get("FOREIGN", "[]"))
    if role is None:
        return
    operation = case.operation.definition.raw
    needed = operation.get("x-required-role")
    if needed and RANKS[role] < RANKS[needed]:
        assert response.status_code in (401, 403, 404, 405), f"{role} got {response.status_code} where {needed} is needed"
    elif response.status_code == 403:
        # What would tell of other accounts is refused to a token for one.
        reason = operation.get("description", "") + response.json()["detail"]
        assert foreign and "one account" in reason, f"{role} got 403 where {needed} is needed"
    assert response.status_code != 403 or "403" in operation["responses"], "the document does not say 403"
    for text in foreign:
        assert text not in response.text, f"{text} belongs to another account"
