package release

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"

	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/aws/sigv4"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/docs/reference"
	"github.com/userrequestapi/userdata/deploy/docs/webpage"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/stage"
	"github.com/userrequestapi/userdata/deploy/template"
)

// documentation is what [Docs] writes and serves for a stage.
type documentation struct {
	origin   string // fromStage or fromCheckout
	document []byte // JSON, for readers
	gateway  []byte // JSON, with API Gateway's extensions
	page     reference.Page
	proxy    http.Handler // sends the page's requests to the stage; nil if the page sends them itself
}

// Values of documentation.origin.
const (
	fromStage    = "stage"
	fromCheckout = "checkout"
)

// Docs writes the API document of the stage, as exported by API Gateway, to docs/api: STAGE.json for readers, and
// STAGE.apigateway.json with API Gateway's extensions. Unless the settings disable it, Docs then serves the stage's
// reference on this machine until ctx ends, and authorizes its requests with the account's credentials if the stage
// requires it. Without an account or a deployed stage, it uses the document of the checkout and overwrites no file.
func Docs(ctx context.Context, settings Settings) error {
	return stage.Finish(ctx, settings.Settings, docs(ctx, settings))
}

func docs(ctx context.Context, settings Settings) error {
	loaded, err := stage.Load(settings.Settings) // needs no account
	if err != nil {
		return err
	}
	s, err := newSession(settings, loaded, "")
	if err != nil {
		return err
	}
	source, err := s.checkout()
	if err != nil {
		return exitcode.With(exitcode.Settings, err)
	}
	var listener net.Listener
	if settings.Serve { // before the export, so that a port in use is reported at once
		var listen net.ListenConfig
		if listener, err = listen.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(settings.Port))); err != nil {
			return exitcode.Errorf(exitcode.Settings, "serve the reference: %w; PORT=0 selects a free port", err)
		}
		defer func() { _ = listener.Close() }()
	}
	d, err := s.exportedDocumentation(ctx, source)
	if noStage(err) {
		settings.Printer.Notef("The document of the stage is not available: %v", err)
		settings.Printer.Notef("Using deploy/%s as it would be deployed.", contract.File)
		d, err = s.checkoutDocumentation(source), nil
	}
	if err != nil {
		return err
	}
	files, err := s.writeDocs(d)
	if err != nil {
		return err
	}
	if listener != nil {
		return s.serve(ctx, d, listener, files)
	}
	s.Printer.Result(map[string]any{"source": d.origin, "files": files}, formatFiles(files))
	return nil
}

// formatFiles renders the names of the files that were written.
func formatFiles(files []string) string {
	if len(files) == 0 {
		return ""
	}
	return "\nDocument   " + strings.Join(files, "\n           ")
}

// noStage reports whether err means that there is no account or no deployed stage, rather than a failure.
func noStage(err error) bool {
	if _, ok := errors.AsType[config.SharedConfigProfileNotExistError](err); ok { // AWS_PROFILE may be misspelled
		return false
	}
	if _, ok := errors.AsType[*processcreds.ProviderError](err); ok {
		return false
	}
	_, noRegion := errors.AsType[*aws.MissingRegionError](err)
	return noRegion || errors.Is(err, stage.ErrNotDeployed) || awserrors.KindOf(err) == awserrors.NoCredentials
}

// exportedDocumentation returns the documentation of the deployed stage.
func (s *session) exportedDocumentation(ctx context.Context, source *checkout) (*documentation, error) {
	if err := s.Open(ctx); err != nil {
		return nil, err
	}
	now, err := s.Deployed(ctx)
	if err != nil {
		return nil, err
	}
	s.Printer.Stepf("Exporting the document of stage %s", s.Name)
	d := &documentation{origin: fromStage}
	if d.document, err = s.export(ctx, now, nil); err != nil {
		return nil, err
	}
	if d.gateway, err = s.export(ctx, now, map[string]string{"extensions": "apigateway"}); err != nil {
		return nil, err
	}
	authorization := now.Parameters[authorizationParameter]
	document, err := s.pageDocument(now, d.document, authorization, source)
	if err != nil {
		return nil, err
	}
	d.page = reference.Page{Document: document, Links: []webpage.Link{{Text: "Stage " + s.Name}}}
	address, err := url.Parse(s.invokeURL(now))
	if err != nil {
		return nil, fmt.Errorf("parse the URL of the stage: %w", err)
	}
	var authorize func(*http.Request) error
	if authorization == template.AuthorizationIAM {
		d.page.Note = "This server signs requests to the stage with the credentials that it was started with."
		d.page.Curl = sigv4.Curl(s.Account.Region)
		authorize = func(r *http.Request) error {
			return awserrors.Explain(sigv4.Sign(r, s.Account.Config.Credentials, s.Account.Region))
		}
	}
	d.proxy = reference.Proxy(address, authorize, s.transport())
	return d, nil
}

// transport returns the transport of the AWS clients, with AWS_CA_BUNDLE, HTTPS_PROXY and their timeouts, but without
// keep-alive.
func (s *session) transport() http.RoundTripper {
	client := s.Account.Config.HTTPClient.(*awshttp.BuildableClient) //nolint:forcetypeassert // account.Open sets it
	transport := client.GetTransport()                               // a copy
	transport.DisableKeepAlives = true
	return transport
}

// export returns the document of the stage from API Gateway ("Export a REST API from API Gateway").
func (s *session) export(ctx context.Context, now *stage.Release, parameters map[string]string) ([]byte, error) {
	out, err := apigateway.NewFromConfig(s.Account.Config).GetExport(ctx, &apigateway.GetExportInput{
		RestApiId: aws.String(now.Outputs["ApiId"]), StageName: &s.Name,
		ExportType: aws.String("oas30"), Accepts: aws.String("application/json"), Parameters: parameters,
	})
	if err != nil {
		return nil, fmt.Errorf("export the document of the stage: %w", awserrors.Explain(err))
	}
	return out.Body, nil
}

// checkout is the API document of the source.
type checkout struct {
	document *contract.Public
	body     json.RawMessage // as deployed to API Gateway
}

func (s *session) checkout() (*checkout, error) {
	document, err := contract.Read(os.DirFS(filepath.Join(s.Root, "deploy")))
	if err != nil {
		return nil, err
	}
	body, err := s.body(s.unpackaged)
	if err != nil {
		return nil, err
	}
	return &checkout{document.Public(), body}, nil
}

// pageDocument returns the document of the stage for its page. API Gateway keeps no examples and not all schemas, so
// pageDocument prefers the source's document if that is what is deployed.
func (s *session) pageDocument(
	now *stage.Release, export []byte, authorization string, source *checkout,
) (*contract.Public, error) {
	invokeURL, name := s.invokeURL(now), "The stage "+s.Name
	deployed, err := s.body(now.Template)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(source.body, deployed) {
		return source.document.ForStage(invokeURL, name, template.SecurityScheme(authorization)), nil
	}
	s.Printer.Notef(
		"The source has changed since the stage was deployed: the page shows API Gateway's export, which has no examples.",
	)
	document, err := contract.ParsePublic(export)
	if err != nil {
		return nil, err
	}
	return document.WithServer(invokeURL, name), nil
}

// body returns the document that is deployed to API Gateway, but with another account and Region.
func (s *session) body(rendered *template.Rendered) (json.RawMessage, error) {
	resources, err := rendered.Resolve(template.PseudoParameters{StackName: s.StackName()})
	if err != nil {
		return nil, err
	}
	return resources.API().Body, nil
}

// checkoutDocumentation returns the documentation of the source.
func (s *session) checkoutDocumentation(source *checkout) *documentation {
	document := source.document
	return &documentation{origin: fromCheckout, document: document.JSON(), gateway: source.body, page: reference.Page{
		Document: document, Links: []webpage.Link{{Text: "Source"}}, CrossOrigin: true,
		Note: fmt.Sprintf("The document of the stage %s is not available: this is the document of the source. "+
			"Requests go to the server selected below.", s.Name),
	}}
}

// writeDocs writes the documents to docs/api in a normalized form, and returns the names of the files. It does not
// overwrite files with documents of the checkout, because they may be the stage's.
func (s *session) writeDocs(d *documentation) ([]string, error) {
	dir := filepath.Join("docs", "api")
	names := []string{filepath.Join(dir, s.Name+".json"), filepath.Join(dir, s.Name+".apigateway.json")}
	if d.origin == fromCheckout {
		for _, name := range names {
			if _, err := os.Lstat(filepath.Join(s.Root, name)); err == nil {
				s.Printer.Notef(
					"%s exists and may be from the stage, so no document is written: remove it to write the source's document.",
					name,
				)
				return []string{}, nil
			}
		}
	}
	if err := os.MkdirAll(filepath.Join(s.Root, dir), 0o755); err != nil {
		return nil, fmt.Errorf("write the documents: %w", err)
	}
	for i, document := range [][]byte{d.document, d.gateway} {
		content, err := normalizeJSON(document)
		if err == nil {
			err = os.WriteFile(filepath.Join(s.Root, names[i]), content, 0o644) //nolint:gosec // it is public
		}
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", names[i], err)
		}
	}
	return names, nil
}

// normalizeJSON returns a JSON document indented and with sorted members. Numbers keep their digits.
func normalizeJSON(document []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// serve serves the page until ctx ends.
func (s *session) serve(ctx context.Context, d *documentation, listener net.Listener, files []string) error {
	return reference.Serve(ctx, listener, d.page, d.proxy, func(ctx context.Context, address string) {
		s.Printer.Result(map[string]any{"source": d.origin, "files": files, "url": address},
			fmt.Sprintf("%s\nReference  %s\n\nPress Ctrl-C to stop.", formatFiles(files), address))
		if s.Browse == nil {
			return
		}
		if err := reference.Browse(ctx, filepath.Join(s.Root, "bin"), address, s.Browse); err != nil {
			s.Printer.Notef("cannot start a browser (%v): open the URL in one", err)
		}
	})
}
