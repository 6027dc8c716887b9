package apigateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// userPools returns the authorizer for a scheme of the type COGNITO_USER_POOLS.
func (p *parser) userPools(scheme securityScheme) (authorizer, error) {
	if scheme.Authorizer.Type != "cognito_user_pools" || len(scheme.Authorizer.ProviderARNs) == 0 {
		return nil, fmt.Errorf("%sauthorizer: want the type cognito_user_pools and providerARNs", extensionPrefix)
	}
	var pools []UserPool
	for _, arn := range scheme.Authorizer.ProviderARNs {
		pool, ok := p.pools[arn]
		if !ok {
			return nil, fmt.Errorf("user pool %s is not configured", arn)
		}
		pools = append(pools, pool)
	}
	return func(x *exchange) (err error) {
		x.claims, err = verifyToken(pools, x.singleHeader(scheme.Name), x.record.Time)
		return err
	}, nil
}

// verifyToken returns the claims of an identity token, with or without the prefix "Bearer ". It rejects access tokens,
// which only methods with scopes accept.
func verifyToken(pools []UserPool, header string, now time.Time) (map[string]string, error) {
	invalid := newGatewayError(unauthorized, "Unauthorized")
	token, err := jwt.ParseSigned(strings.TrimPrefix(header, "Bearer "), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil, invalid
	}
	for _, pool := range pools {
		var (
			standard jwt.Claims
			use      struct {
				TokenUse string `json:"token_use"`
			}
			all json.RawMessage
		)
		if err := token.Claims(pool.Keys, &standard, &use, &all); err != nil || standard.Issuer != pool.Issuer {
			continue
		}
		switch err := standard.ValidateWithLeeway(jwt.Expected{Time: now}, 0); {
		case errors.Is(err, jwt.ErrExpired):
			return nil, newGatewayError(unauthorized, "The incoming token has expired")
		case err != nil || standard.Expiry == nil || use.TokenUse != "id":
			return nil, invalid
		}
		return renderClaims(all)
	}
	return nil, invalid
}

// renderClaims renders claims as API Gateway passes them to functions: as strings, with comma-separated lists. The
// times exp and iat, but not auth_time, have the format of java.util.Date.
func renderClaims(claims json.RawMessage) (map[string]string, error) {
	decoder := json.NewDecoder(bytes.NewReader(claims))
	decoder.UseNumber() // preserves all digits
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("decode claims: %w", err)
	}
	rendered := map[string]string{}
	for name, value := range object {
		str, err := renderClaim(value)
		if err != nil {
			return nil, fmt.Errorf("claim %s: %w", name, err)
		}
		if seconds, err := strconv.ParseInt(str, 10, 64); err == nil && (name == "exp" || name == "iat") {
			str = time.Unix(seconds, 0).UTC().Format("Mon Jan 02 15:04:05 MST 2006")
		}
		rendered[name] = str
	}
	return rendered, nil
}

func renderClaim(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case []any:
		var elements []string
		for _, element := range v {
			rendered, err := renderClaim(element)
			if err != nil {
				return "", err
			}
			elements = append(elements, rendered)
		}
		return strings.Join(elements, ","), nil
	}
	encoded, err := encodeJSON(value)
	return string(encoded), err
}
