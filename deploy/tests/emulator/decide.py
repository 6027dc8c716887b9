"""Evaluates requests against identity-based policies with ministack's evaluator: JSON from stdin to stdout."""

import json
import sys

from ministack.core import iam_evaluator

given = json.load(sys.stdin)
policies = [iam_evaluator.parse_policy_document(policy) for policy in given["policies"]]


def allowed(request):
    context = iam_evaluator.EvalContext(
        principal_arn="arn:aws:iam::123456789012:user/deployer",
        principal_type="User",
        principal_account="123456789012",
        action=request["action"],
        resource_arn=request["resource"],
        region="eu-central-1",
        service_context={key.lower(): value for key, value in (request["context"] or {}).items()},
    )
    return iam_evaluator.evaluate(context, policies).decision == "Allow"


json.dump([allowed(request) for request in given["requests"]], sys.stdout)
