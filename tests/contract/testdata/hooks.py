"""Rules of the API document that it says in words, for want of a schema: what they refuse is refused rightly."""

import urllib.parse

import schemathesis

# The codes of faults in a body that no schema can find.
FAULTS = {
    "EmptyName",
    "InvalidEmail",
    "InvalidTypedValue",
    "NumberPrecision",
    "NumberRange",
    "ReadOnly",
    "ReservedName",
    "TooDeep",
}


def id_in_path(case):
    """Return the id in the path of a request, which Schemathesis has percent-encoded, or None."""
    encoded = (case.path_parameters or {}).get("userId")
    return urllib.parse.unquote(encoded) if isinstance(encoded, str) else encoded


def ids(case):
    """Return the ids that a request names: those in its path, its query and its body must be the same."""
    named = {part["userId"] for part in (case.query, case.body) if isinstance(part, dict) and "userId" in part}
    return named | ({id_in_path(case)} - {None})


def conditions(case):
    """Return the conditions that a request has."""
    return [value for name, value in (case.headers or {}).items() if name.lower() in ("if-match", "if-none-match")]


def refused_rightly(case, response):
    named = ids(case)
    if len(named) > 1:
        return True
    # Where a pattern demands quotation marks, Schemathesis calls a mere 0 valid.
    if any(value != "*" and '"' not in value for value in conditions(case)):
        return True
    if case.operation.label == "PUT /users" and not named:
        return True
    if "cursor" in (case.query or {}):
        return True  # it is opaque: random ones are none
    if not response.content:  # of HEAD
        return False
    faults = {fault["code"] for fault in response.json().get("errors", ())}
    return bool(faults) and faults <= FAULTS


@schemathesis.hook
def map_case(context, case):
    """Have a valid request name one user, so that it gets further than to be refused for naming two."""
    if not case.meta or not case.meta.generation.mode.is_positive:
        return case
    address = id_in_path(case) or (case.query or {}).get("userId")
    for part in (case.query, case.body):
        if address and isinstance(part, dict) and "userId" in part:
            part["userId"] = address
    return case


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drop the failures of valid requests that were refused by these rules."""
    return not ("positive_data_acceptance" in failure.checks and response.status_code == 400 and refused_rightly(case, response))
