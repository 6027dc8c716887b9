"""Runs ministack with extensions for REST APIs.

From an imported definition, ministack creates only the resources, methods and Lambda integrations. API Gateway also
imports the parameters, responses, models and documentation, and exports them ("Develop REST APIs using OpenAPI in API
Gateway"). The extensions create them with ministack's functions for the other API operations.

For IAM's condition key aws:ResourceTag, ministack lacks the tags of API Gateway resources. An extension adds them.
"""

import json

from ministack import app
from ministack.services import apigateway_v1, tagging
from ministack.services.cloudformation import provisioners

# With TLS, ministack would also listen on port 443 if it can, and exit if another process takes that port at the same
# time. It has no setting to prevent this.
app._port_is_bindable = lambda host, port: False

DOCUMENTATION = "x-amazon-apigateway-documentation"

# The documentation properties that an export merges into the definition: "OpenAPI-compliant documentation-related
# fields" (DocumentationPart). AWS has no list of them; these are the fields in its examples.
EXPORTED = {"info", "tags", "externalDocs", "summary", "description", "title", "deprecated"}

versions = apigateway_v1.AccountRegionScopedDict()  # API -> version -> parts


def models(content):
    """Returns the names of the models by media type."""
    return {media_type: value["schema"]["$ref"].rsplit("/", 1)[-1] for media_type, value in content.items()}


def import_rest_api(definition, data=None):
    data = dict(data or {})
    data["description"] = data.get("description") or definition["info"].get("description", "")
    api = original_import_rest_api(definition, data)
    for name, schema in definition.get("components", {}).get("schemas", {}).items():
        apigateway_v1._create_model(api, {"name": name, "schema": json.dumps(schema)})
    locations = []
    for part in definition.get(DOCUMENTATION, {}).get("documentationParts", []):
        if part["location"] in locations:
            raise ValueError(f"Documentation part already exists for the specified location: {part['location']}")
        locations.append(part["location"])
        apigateway_v1._create_documentation_part(api, {**part, "properties": json.dumps(part["properties"])})
    return api


def import_operation(api, resource, verb, operation, schemes=None, security=None):
    original_import_operation(api, resource, verb, operation, schemes, security)
    method = apigateway_v1._resources[api][resource]["resourceMethods"][verb]
    method["operationName"] = operation.get("operationId", "")
    for parameter in operation.get("parameters", []):
        place = {"path": "path", "query": "querystring", "header": "header"}[parameter["in"]]
        method["requestParameters"][f"method.request.{place}.{parameter['name']}"] = parameter.get("required", False)
    method["requestModels"] = models(operation.get("requestBody", {}).get("content", {}))
    for status, response in operation["responses"].items():
        apigateway_v1._put_method_response(api, resource, verb, status, {
            "responseParameters": {f"method.response.header.{name}": False for name in response.get("headers", {})},
            "responseModels": models(response.get("content", {})),
        })
    integration = operation["x-amazon-apigateway-integration"]
    if integration["type"] == "mock" and "responses" in integration:
        method["methodIntegration"]["requestTemplates"] = integration["requestTemplates"]
        method["methodIntegration"]["passthroughBehavior"] = integration["passthroughBehavior"].upper()
        for response in integration["responses"].values():
            apigateway_v1._put_integration_response(api, resource, verb, response["statusCode"], response)


def create_version(logical_id, properties, stack):
    """Creates a snapshot of the documentation ("Documentation versions")."""
    api, version = properties["RestApiId"], properties["DocumentationVersion"]
    if version in versions.setdefault(api, {}):
        raise ValueError(f"Documentation version already exists: {version}")
    versions[api][version] = [
        {"location": part["location"], "properties": json.loads(part["properties"])}
        for part in apigateway_v1._documentation_parts[api].values()
    ]
    return original_version["create"](logical_id, properties, stack)


def update_version(physical_id, old, new, stack):
    if (old["RestApiId"], old["DocumentationVersion"]) != (new["RestApiId"], new["DocumentationVersion"]):
        return create_version(physical_id, new, stack)
    return original_version["update"](physical_id, old, new, stack)


def delete_version(physical_id, properties):
    versions.get(properties["RestApiId"], {}).pop(properties["DocumentationVersion"], None)


def document_stage(properties):
    api, version = properties["RestApiId"], properties.get("DocumentationVersion")
    if version and version not in versions.get(api, {}):
        raise ValueError(f"Invalid documentation version specified: {version}")
    apigateway_v1._stages_v1[api][properties["StageName"]]["documentationVersion"] = version


def create_stage(logical_id, properties, stack):
    created = original_stage["create"](logical_id, properties, stack)
    document_stage(properties)
    return created


def update_stage(physical_id, old, new, stack):
    updated = original_stage["update"](physical_id, old, new, stack)
    document_stage(new)
    return updated


def find_properties(parts, kind, path=None, method=None, status=None, name=None):
    """Returns the documentation of an API entity.

    It may be inherited ("Inherit content from an API entity of more general specification").
    """
    matching = []
    for part in parts:
        location = part["location"]
        above = location.get("path", "/")
        if (
            location["type"] == kind
            and (path is None or path == above or path.startswith(above.rstrip("/") + "/"))
            and location.get("method", "*") in ("*", method)
            and location.get("statusCode", "*") in ("*", status)
            and location.get("name") == name
        ):
            exact = sum(key in location for key in ("method", "statusCode"))
            matching.append(((len(above), exact), part["properties"]))
    properties = max(matching, key=lambda match: match[0])[1] if matching else {}
    return {key: value for key, value in properties.items() if key in EXPORTED}


def document_operation(parts, path, key, operation):
    verb = key.upper()
    operation.update(find_properties(parts, "METHOD", path, verb))
    for parameter in operation.get("parameters", []):
        kind = {"path": "PATH_PARAMETER", "query": "QUERY_PARAMETER", "header": "REQUEST_HEADER"}[parameter["in"]]
        parameter.update(find_properties(parts, kind, path, verb, name=parameter["name"]))
    if "requestBody" in operation:
        operation["requestBody"].update(find_properties(parts, "REQUEST_BODY", path, verb))
    for status, response in operation["responses"].items():
        response.update(find_properties(parts, "RESPONSE", path, verb, status))
        for name, header in response.get("headers", {}).items():
            header.update(find_properties(parts, "RESPONSE_HEADER", path, verb, status, name))


def build_api_export(api, stage, kind, extended, *args):
    document = original_build_api_export(api, stage, kind, extended, *args)
    version = apigateway_v1._stages_v1[api][stage].get("documentationVersion")
    if kind != "oas30" or not version:
        return document
    parts = versions[api][version]
    for key, value in find_properties(parts, "API").items():
        if key == "info":  # the API has its own title and version
            document["info"] = value | document["info"] | {"description": value["description"]}
        else:
            document[key] = value
    for name, schema in document["components"]["schemas"].items():
        schema.update(find_properties(parts, "MODEL", name=name))
    for path, item in document["paths"].items():
        for key, operation in item.items():
            document_operation(parts, path, key, operation)
        item.update(find_properties([p for p in parts if p["location"].get("path", "/") == path], "RESOURCE", path))
    if extended:
        document[DOCUMENTATION] = {"version": version, "documentationParts": parts}
    return document


def resource_tags(arn):
    """Returns the tags of a resource or its parent ("API Gateway resources that can be tagged")."""
    if not arn.startswith("arn:aws:apigateway:"):
        return original_resource_tags(arn)
    kind, _, rest = arn.split("::", 1)[1].removeprefix("/").partition("/")
    parents = {
        "apikeys": apigateway_v1._api_keys,
        "restapis": apigateway_v1._rest_apis,
        "usageplans": apigateway_v1._usage_plans,
    }
    parent = parents.get(kind, {}).get(rest.partition("/")[0])
    return parent and parent.get("tags")


original_resource_tags = tagging.resource_tags
tagging.resource_tags = resource_tags
original_import_rest_api = apigateway_v1._import_rest_api
apigateway_v1._import_rest_api = import_rest_api
original_import_operation = apigateway_v1._import_operation
apigateway_v1._import_operation = import_operation
original_build_api_export = apigateway_v1._build_api_export
apigateway_v1._build_api_export = build_api_export

handlers = provisioners._RESOURCE_HANDLERS
original_version = handlers["AWS::ApiGateway::DocumentationVersion"]
handlers["AWS::ApiGateway::DocumentationVersion"] = original_version | {
    "create": create_version, "update": update_version, "delete": delete_version,
}
original_stage = handlers["AWS::ApiGateway::Stage"]
handlers["AWS::ApiGateway::Stage"] = original_stage | {"create": create_stage, "update": update_stage}

app.main()
