import os
import sys
from urllib.parse import quote

import botocore.session
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

invoke_url, user_id = sys.argv[1:]
credentials = botocore.session.get_session().get_credentials()  # as in the AWS CLI


def sign(request):
    signed = AWSRequest(request.method, request.url, data=request.body)
    SigV4Auth(credentials, "execute-api", os.environ["AWS_REGION"]).add_auth(signed)
    request.headers.update(signed.headers)
    return request


response = requests.get(f"{invoke_url}/users/{quote(user_id, safe='')}", auth=sign, timeout=35)
print(response.status_code, response.text)
