import { Sha256 } from "@aws-crypto/sha256-js";
import { defaultProvider } from "@aws-sdk/credential-provider-node";
import { SignatureV4 } from "@smithy/signature-v4";

const [invokeURL, id] = process.argv.slice(2) as [string, string];
const credentials = defaultProvider(); // as in the AWS CLI
const region = process.env.AWS_REGION!;
const signer = new SignatureV4({ service: "execute-api", region, credentials, sha256: Sha256 });
const url = new URL(`${invokeURL}/users/${encodeURIComponent(id)}`);
const { protocol, hostname, host, pathname: path } = url;
const signed = await signer.sign({ method: "GET", protocol, hostname, path, headers: { host } });
const response = await fetch(url, signed);
console.log(response.status, await response.text());
