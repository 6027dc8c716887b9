package release

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/aws/sigv4"
	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/release/smoke"
	"github.com/userrequestapi/userdata/deploy/release/stage"
	"github.com/userrequestapi/userdata/deploy/template"
)

// Deploy deploys the source to the stage: it builds the functions, uploads the packages that have changed, updates the
// stack and runs the smoke test. It returns nil if there is nothing to change. After an interruption, it can be run
// again.
func Deploy(ctx context.Context, settings Settings) error {
	return run(ctx, settings, deployTarget, deploy)
}

func deploy(ctx context.Context, s *session) error {
	if _, err := s.Release(ctx); err != nil { // fails for a foreign stack before anything is uploaded
		return err
	}
	if err := s.openBucket(ctx); err != nil {
		return err
	}
	packages, err := s.allPackages(ctx)
	if err != nil {
		return err
	}
	if err := s.upload(ctx, packages); err != nil {
		return err
	}
	s.Printer.Stepf("Changing the stack %s", s.StackName())
	now, err := s.change(ctx, func(now *stage.Release) (*template.Rendered, error) {
		rendered, err := s.render(ctx, now, packages)
		if err != nil {
			return nil, err
		}
		return rendered, s.setRecord(rendered, nextRecord(now, s.commit(ctx)))
	})
	if err != nil {
		return err
	}
	if err := s.verify(ctx, now); err != nil {
		return err
	}
	s.checkSubscription(ctx, now)
	s.Printer.Result(now.Outputs, s.describe(now))
	return nil
}

// render renders the template for the account, the packages and the current stack, which may be nil.
func (s *session) render(
	ctx context.Context, now *stage.Release, packages map[string]build.Package,
) (*template.Rendered, error) {
	if s.roleChoice == "" {
		ask := s.Ask
		if s.target != deployTarget { // a plan asks nothing
			ask = nil
		}
		var err error
		if s.roleChoice, err = s.LogsRole(ctx, now, ask); err != nil {
			return nil, err
		}
	}
	parameters := s.parameters()
	parameters[bucketParameter], parameters[stage.LogsRoleParameter] = s.bucket.Name(), s.roleChoice
	return s.Source.Render(template.Options{Parameters: parameters, Code: keys(packages)})
}

func keys(packages map[string]build.Package) map[string]string {
	keys := map[string]string{}
	for id, p := range packages {
		keys[id] = p.Key
	}
	return keys
}

// verify runs the smoke test after a deployment, unless the settings disable it or it needs a token and has none.
func (s *session) verify(ctx context.Context, now *stage.Release) error {
	if !s.Smoke {
		return nil
	}
	if s.lacksToken(now) {
		s.Printer.Notef("the smoke test is skipped: to run it, set TOKEN to an ID token of the user pool")
		return nil
	}
	err := s.smoke(ctx, now)
	if _, ok := errors.AsType[*smoke.Failure](err); !ok {
		return err
	}
	hint := ""
	if now.Record.Previous != "" {
		hint = "\nRoll back with " + s.Command(rollbackTarget)
	}
	return fmt.Errorf("the stage is deployed, but does not work: %w%s", err, hint)
}

// describe renders the stage, its outputs and a command that calls it.
func (s *session) describe(now *stage.Release) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nStage %s is release %d", s.Name, now.Record.Number)
	if now.Record.Source != "" {
		fmt.Fprintf(&b, " (%s)", now.Record.Source)
	}
	b.WriteString(".\n\n")
	names := slices.Sorted(maps.Keys(now.Outputs))
	width := 0
	for _, name := range names {
		width = max(width, len(name))
	}
	for _, name := range names {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, name, now.Outputs[name])
	}
	url := s.invokeURL(now) + s.readablePath()
	b.WriteString("\nCall it:\n\n")
	switch authorization := now.Parameters[authorizationParameter]; authorization {
	case template.AuthorizationIAM:
		fmt.Fprintf(&b, `  eval "$(%s)"
  curl %s \
    '%s'`,
			s.Line.CLI("configure export-credentials --format env"), sigv4.Curl(s.Account.Region), url)
	case template.AuthorizationAPIKey:
		fmt.Fprintf(&b, `  curl -H "X-Api-Key: $(%s)" '%s'`, s.Line.CLI(fmt.Sprintf(
			"apigateway get-api-key --api-key %s --include-value --query value --output text", now.Outputs["ApiKeyId"])), url)
	case template.AuthorizationCognito:
		fmt.Fprintf(&b, `  curl -H "Authorization: $TOKEN" '%s'   # TOKEN: an ID token of the user pool`, url)
	default:
		fmt.Fprintf(&b, "  curl '%s'", url)
	}
	b.WriteString("\n")
	return b.String()
}

// readablePath returns the path of the first collection of the source's API document that can be read, or else that of
// the index.
func (s *session) readablePath() string {
	document := s.Source.Contract()
	for _, collection := range document.Collections() {
		if document.Paths.Value(collection.Path).Get != nil {
			return collection.Path
		}
	}
	return "/"
}

// invokeURL returns the URL of the stage.
func (s *session) invokeURL(now *stage.Release) string {
	return s.Stage.InvokeURL(now, s.Settings.InvokeURL)
}
