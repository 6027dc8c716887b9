package capture

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
)

// Mask replaces secrets.
const Mask = "•••"

// Secrets are the headers and query parameters whose values are secrets, in lower case.
type Secrets struct{ headers, parameters map[string]bool }

// NewSecrets returns those of HTTP, of AWS, and of the security schemes of an API document.
func NewSecrets(document *contract.Document) Secrets {
	s := Secrets{headers: map[string]bool{}, parameters: map[string]bool{}}
	for _, name := range []string{
		"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-amz-security-token",
	} {
		s.headers[name] = true
	}
	for _, name := range []string{
		"x-amz-signature", "x-amz-credential", "x-amz-security-token", // of presigned URLs
		"authorization", "access_token", "id_token", "refresh_token", "token", "client_secret", "password",
		"api_key", "x-api-key",
	} {
		s.parameters[name] = true
	}
	if document == nil || document.Components == nil {
		return s
	}
	for _, scheme := range document.Components.SecuritySchemes {
		if scheme.Value == nil || scheme.Value.Type != "apiKey" {
			continue
		}
		switch name := strings.ToLower(scheme.Value.Name); scheme.Value.In {
		case "header":
			s.headers[name] = true
		case "query":
			s.parameters[name] = true
		}
	}
	return s
}

// Exchange returns the exchange of a request, with its secrets masked, also where a header or a body repeats one.
func (s Secrets) Exchange(r apigateway.Record, content apigateway.Content) Exchange {
	request := content.Request
	address, found := s.maskAddress(request.RequestURI)
	for _, header := range []http.Header{request.Header, content.Header} {
		for name, values := range header {
			if s.headers[strings.ToLower(name)] {
				for _, value := range values {
					found = append(found, secretParts(value)...)
				}
			}
		}
	}
	mask := masker(found)
	host := http.Header{"Host": {request.Host}} // net/http removes it from the headers
	maps.Copy(host, request.Header)
	return Exchange{
		RequestID: r.RequestID,
		TraceID:   r.Trace.Root,
		Time:      r.Time,
		Method:    request.Method,
		Address:   address,
		Route:     r.ResourcePath,
		Status:    r.Status,
		Request:   newMessage(s.list(host, mask), content.RequestBody, mask),
		Response:  newMessage(s.list(content.Header, mask), content.Body, mask),
	}
}

// list returns the values of headers, sorted by name.
func (s Secrets) list(header http.Header, mask func(string) string) []Header {
	var headers []Header
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			h := Header{Name: name, Value: mask(value)}
			if s.headers[strings.ToLower(name)] {
				h.Value, h.Masked = Mask, true
			}
			headers = append(headers, h)
		}
	}
	return headers
}

// maskAddress masks the secrets in the query of an address, and returns them. The rest of the address is unchanged.
func (s Secrets) maskAddress(address string) (masked string, found []string) {
	path, query, hasQuery := strings.Cut(address, "?")
	if !hasQuery {
		return address, nil
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		decoded, err := url.QueryUnescape(name)
		if err != nil {
			decoded = name
		}
		if !s.parameters[strings.ToLower(decoded)] {
			continue
		}
		pairs[i], found = name+"="+Mask, append(found, value)
		if plain, err := url.QueryUnescape(value); err == nil {
			found = append(found, plain)
		}
	}
	return path + "?" + strings.Join(pairs, "&"), found
}

// secretParts returns the value of a header and the secrets in it: a token after its scheme, and the values of cookies
// and of the parts of a signature.
func secretParts(value string) []string {
	found := []string{value}
	if _, token, ok := strings.Cut(value, " "); ok {
		found = append(found, strings.TrimSpace(token))
	}
	for _, field := range strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == ',' }) {
		switch name, part, _ := strings.Cut(strings.TrimSuffix(field, ";"), "="); name {
		case "SignedHeaders", "Path", "Domain": // of a signature, and of Set-Cookie
		default:
			found = append(found, part)
		}
	}
	return found
}

// minSecret is the minimum length in bytes of a secret that is also masked elsewhere. Shorter ones can occur by chance.
const minSecret = 8

// masker returns a function that masks secrets in a string.
func masker(secrets []string) func(string) string {
	var pairs []string
	for _, secret := range secrets {
		if len(secret) >= minSecret {
			pairs = append(pairs, secret, Mask)
		}
	}
	if len(pairs) == 0 {
		return func(s string) string { return s }
	}
	return strings.NewReplacer(pairs...).Replace
}
