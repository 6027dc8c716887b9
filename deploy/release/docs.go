package release

import (
	"bytes"
	"context"
	"crypto/rand"
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
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"

	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/aws/sigv4"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/docs/reference"
	"github.com/userrequestapi/userdata/deploy/host/loopback"
	"github.com/userrequestapi/userdata/deploy/template"
)

// documentation is what there is to read about a stage.
type documentation struct {
	origin   string // stage or checkout
	document []byte // JSON: for readers
	gateway  []byte // JSON: with API Gateway's extensions
	page     reference.Page
	proxy    http.Handler // takes the page's requests to the stage; nil: they go there themselves
}

// Where documentation is from.
const (
	fromStage    = "stage"
	fromCheckout = "checkout"
)

// Docs writes the API document of the stage, as API Gateway has it, to docs/api: as STAGE.json for readers, and as STAGE.apigateway.json
// with API Gateway's extensions. Then it serves the reference of the stage on this machine until ctx ends, unless the settings say
// otherwise; requests from there are authorized with the credentials of the account where the stage demands it. Where there is no
// account or no stage to ask, the document is that of the checkout, which replaces no file.
func Docs(ctx context.Context, settings Settings) error {
	return finish(ctx, settings, docs(ctx, settings))
}

func docs(ctx context.Context, settings Settings) error {
	s := &session{Settings: settings}
	if err := s.load(); err != nil { // which has nothing to do with the account
		return WithCode(CodeSettings, err)
	}
	source, err := s.checkout()
	if err != nil {
		return WithCode(CodeSettings, err)
	}
	var listener net.Listener
	if settings.Serve { // which nothing is done for where it cannot be
		var listen net.ListenConfig
		if listener, err = listen.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(settings.Port))); err != nil {
			return WithCode(CodeSettings, fmt.Errorf("serve the reference: %w; PORT=0 takes a free one", err))
		}
		defer func() { _ = listener.Close() }() // again, where it has served
	}
	d, err := exported(ctx, settings, source)
	if nobodyToAsk(err) {
		settings.Printer.Notef("The stage cannot be asked: %v", err)
		settings.Printer.Notef("What follows is deploy/%s as it would be deployed.", contract.File)
		d, err = s.undeployed(source), nil
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
	s.Printer.Result(map[string]any{"source": d.origin, "files": files}, shown(files))
	return nil
}

// shown are the names of the files that were written, to a person.
func shown(files []string) string {
	if len(files) == 0 {
		return ""
	}
	return "\nDocument   " + strings.Join(files, "\n           ")
}

// nobodyToAsk tells errors that say that there is no account, or no stage in it, from those that say that something is wrong.
func nobodyToAsk(err error) bool {
	if _, ok := errors.AsType[config.SharedConfigProfileNotExistError](err); ok { // AWS_PROFILE may have a slip of the pen
		return false
	}
	if _, ok := errors.AsType[*processcreds.ProviderError](err); ok {
		return false
	}
	_, noRegion := errors.AsType[*aws.MissingRegionError](err)
	return noRegion || errors.Is(err, errNotDeployed) || awserrors.KindOf(err) == awserrors.NoCredentials
}

// exported returns what the stage itself says.
func exported(ctx context.Context, settings Settings, source *checkout) (*documentation, error) {
	s, err := open(ctx, settings)
	if err != nil {
		return nil, err
	}
	now, err := s.deployed(ctx)
	if err != nil {
		return nil, err
	}
	s.Printer.Stepf("Exporting the document of stage %s", s.stage.Name)
	d := &documentation{origin: fromStage}
	if d.document, err = s.export(ctx, now, nil); err != nil {
		return nil, err
	}
	if d.gateway, err = s.export(ctx, now, map[string]string{"extensions": "apigateway"}); err != nil {
		return nil, err
	}
	authorization := now.Parameters[authorizationParameter]
	document, err := s.readable(now, d.document, authorization, source)
	if err != nil {
		return nil, err
	}
	d.page = reference.Page{Document: document, Links: []reference.Link{{Text: "Stage " + s.stage.Name}}}
	stage, err := url.Parse(s.invokeURL(now))
	if err != nil {
		return nil, fmt.Errorf("read the address of the stage: %w", err)
	}
	var authorize func(*http.Request) error
	if authorization == template.AuthorizationIAM {
		d.page.Note = "Requests are signed on their way to the stage, with the credentials that this was started with."
		d.page.Curl = sigv4.Curl(s.account.Region, "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY") +
			` -H "X-Amz-Security-Token: $AWS_SESSION_TOKEN"`
		authorize = func(r *http.Request) error {
			return awserrors.Explain(sigv4.Sign(r, s.account.Config.Credentials, s.account.Region))
		}
	}
	d.proxy = reference.Proxy(stage, authorize, s.transport())
	return d, nil
}

// transport sends requests as the clients of AWS do, with AWS_CA_BUNDLE, HTTPS_PROXY and limits of time in force, but keeps no
// connections.
func (s *session) transport() http.RoundTripper {
	client, ok := s.account.Config.HTTPClient.(interface{ GetTransport() *http.Transport })
	if !ok { // it is what the account was opened with
		panic(fmt.Sprintf("the client of AWS is a %T", s.account.Config.HTTPClient))
	}
	transport := client.GetTransport() // a copy
	transport.DisableKeepAlives = true
	return transport
}

// export returns the document of the stage as API Gateway exports it ("Export a REST API from API Gateway").
func (s *session) export(ctx context.Context, now *current, parameters map[string]string) ([]byte, error) {
	out, err := apigateway.NewFromConfig(s.account.Config).GetExport(ctx, &apigateway.GetExportInput{
		RestApiId: aws.String(now.Outputs["ApiId"]), StageName: &s.stage.Name,
		ExportType: aws.String("oas30"), Accepts: aws.String("application/json"), Parameters: parameters,
	})
	if err != nil {
		return nil, fmt.Errorf("export the document of the stage: %w", awserrors.Explain(err))
	}
	return out.Body, nil
}

// checkout is what the source says.
type checkout struct {
	document *contract.Document
	body     json.RawMessage // what API Gateway would be given
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
	return &checkout{document, body}, nil
}

// readable returns the document of the stage for its page. API Gateway keeps no examples and not all of the schemas: where the source is
// what is deployed, that is shown instead of the export.
func (s *session) readable(now *current, export []byte, authorization string, source *checkout) (*contract.Document, error) {
	invokeURL, name := s.invokeURL(now), "The stage "+s.stage.Name
	deployed, err := s.body(now.template)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(source.body, deployed) {
		return source.document.ForStage(invokeURL, name, authorization), nil
	}
	s.Printer.Notef("The source has changed since the stage was deployed, so its page has no more than API Gateway keeps (no examples).")
	document, err := contract.Parse(export)
	if err != nil {
		return nil, err
	}
	return document.WithServer(invokeURL, name), nil
}

// body is the document that API Gateway is given, in an account of no consequence.
func (s *session) body(rendered *template.Rendered) (json.RawMessage, error) {
	place := template.PseudoParameters{Region: "us-east-1", AccountID: "000000000000", StackName: s.stackName()}
	resources, err := rendered.Resolve(place)
	if err != nil {
		return nil, err
	}
	return resources.API().Body, nil
}

// undeployed returns what the source says of a stage that cannot be asked.
func (s *session) undeployed(source *checkout) *documentation {
	public := source.document.Public()
	return &documentation{origin: fromCheckout, document: public.JSON(), gateway: source.body, page: reference.Page{
		Document: public, Links: []reference.Link{{Text: "Source"}}, CrossOrigin: true,
		Note: fmt.Sprintf("The stage %s could not be asked for its document: this is the source's. "+
			"Requests go to the server that is chosen below.", s.stage.Name),
	}}
}

// writeDocs writes the documents to docs/api, in a form that differs only where they do, and returns the names of the files that it has
// written: those of the checkout take the place of none, which may be the stage's.
func (s *session) writeDocs(d *documentation) ([]string, error) {
	dir := filepath.Join("docs", "api")
	names := []string{filepath.Join(dir, s.stage.Name+".json"), filepath.Join(dir, s.stage.Name+".apigateway.json")}
	if d.origin == fromCheckout {
		for _, name := range names {
			if _, err := os.Lstat(filepath.Join(s.Root, name)); err == nil {
				s.Printer.Notef("%s is there, perhaps from the stage, so no document is written: remove it to have that of the source.", name)
				return []string{}, nil
			}
		}
	}
	if err := os.MkdirAll(filepath.Join(s.Root, dir), 0o755); err != nil {
		return nil, fmt.Errorf("write the documents: %w", err)
	}
	for i, document := range [][]byte{d.document, d.gateway} {
		content, err := sorted(document)
		if err == nil {
			err = os.WriteFile(filepath.Join(s.Root, names[i]), content, 0o644) //nolint:gosec // it is for everybody to read
		}
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", names[i], err)
		}
	}
	return names, nil
}

// sorted returns a JSON document with its members in the order of their names, and indented. Its numbers stay as they are.
func sorted(document []byte) ([]byte, error) {
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

const headerTimeout = 30 * time.Second

// serve serves the page until ctx ends. Its address has a part that cannot be guessed: other users of this machine could ask here too,
// and what they ask would have the credentials of this one.
func (s *session) serve(ctx context.Context, d *documentation, listener net.Listener, files []string) error {
	path := "/" + rand.Text() + "/"
	mux := http.NewServeMux()
	reference.Handle(mux, path, func(*http.Request) (reference.Page, error) { return d.page, nil }, d.proxy)
	server := &http.Server{Handler: loopback.Guard(mux), ReadHeaderTimeout: headerTimeout}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	address := "http://" + listener.Addr().String() + path
	s.Printer.Result(map[string]any{"source": d.origin, "files": files, "url": address},
		fmt.Sprintf("%s\nReference  %s\n\nCtrl-C ends it.", shown(files), address))
	var browser sync.WaitGroup
	defer browser.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if s.Browse != nil {
		browser.Go(func() {
			if err := s.browse(ctx, address); err != nil {
				s.Printer.Notef("no browser could be started (%v): open the address in one", err)
			}
		})
	}
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		err = errors.Join(server.Close(), ignoreClosed(<-served))
	}
	if err != nil {
		return fmt.Errorf("serve the reference: %w", err)
	}
	return nil
}

// browse opens an address in a browser, by a file that leads there and that is this user's until ctx ends: all users can see what
// programs are started with. The file is in the workspace, since not every browser may read those of the system's temporary folder.
func (s *session) browse(ctx context.Context, address string) (err error) {
	dir, err := filepath.Abs(filepath.Join(s.Root, "bin"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, "reference-*.html")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	_, err = fmt.Fprintf(file, "<!doctype html>\n<meta http-equiv=\"refresh\" content=\"0; url=%s\">\n", address)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := s.Browse(ctx, (&url.URL{Scheme: "file", Path: file.Name()}).String()); err != nil && ctx.Err() == nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
