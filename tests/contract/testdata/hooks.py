"""Rules of the API document that a schema cannot express: requests that violate them are rejected correctly."""

import urllib.parse

import schemathesis

# The codes of faults in a body that a schema cannot express.
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
    """Return the ids in the path, query and body of a request, which must be the same."""
    named = {part["userId"] for part in (case.query, case.body) if isinstance(part, dict) and "userId" in part}
    return named | ({id_in_path(case)} - {None})


def conditions(case):
    """Return the values of the conditional headers of a request."""
    return [value for name, value in (case.headers or {}).items() if name.lower() in ("if-match", "if-none-match")]


def rejected_correctly(case, response):
    named = ids(case)
    if len(named) > 1:
        return True
    # Schemathesis considers 0 valid although the pattern requires quotation marks.
    if any(value != "*" and '"' not in value for value in conditions(case)):
        return True
    if case.operation.label == "PUT /users" and not named:
        return True
    # The blank U+0085 matches \S, the pattern of the query parameter.
    if str((case.query or {}).get("userId", "")).isspace():
        return True
    if "cursor" in (case.query or {}):
        return True  # random cursors are not valid
    if not response.content:  # HEAD
        return False
    faults = {fault["code"] for fault in response.json().get("errors", ())}
    return bool(faults) and faults <= FAULTS


@schemathesis.hook
def map_case(context, case):
    """Use the same id in all parts of a valid request, so that it is not rejected for different ids."""
    if not case.meta or not case.meta.generation.mode.is_positive:
        return case
    in_path = id_in_path(case)
    if in_path and in_path.isspace() and case.query:
        case.query.pop("userId", None)  # a blank id is valid only in the path
    address = in_path or (case.query or {}).get("userId")
    for part in (case.query, case.body):
        if address and isinstance(part, dict) and "userId" in part:
            part["userId"] = address
    return case


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drop the failures of valid requests that these rules reject."""
    return not ("positive_data_acceptance" in failure.checks and response.status_code == 400 and rejected_correctly(case, response))
