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
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"

	"github.com/userrequestapi/userdata/deploy/awserror"
	"github.com/userrequestapi/userdata/deploy/loopback"
	"github.com/userrequestapi/userdata/deploy/openapi"
	"github.com/userrequestapi/userdata/deploy/reference"
	"github.com/userrequestapi/userdata/deploy/sigv4"
	"github.com/userrequestapi/userdata/deploy/template"
)

// documentation is what there is to read about a stage.
type documentation struct {
	document []byte // JSON: for readers
	gateway  []byte // JSON: with API Gateway's extensions
	page     reference.Page
	proxy    http.Handler // takes the page's requests to the stage; nil: they go there themselves
}

// Docs writes the API document of the stage, as API Gateway has it, to docs/api: as STAGE.json for readers, and as STAGE.apigateway.json
// with API Gateway's extensions. Then it serves the reference of the stage on this machine until ctx ends, unless the settings say
// otherwise; requests from there are authorized with the credentials of the account where the stage demands it. Where the stage cannot
// be asked, the document is that of the source.
func Docs(ctx context.Context, settings Settings) error {
	return finish(ctx, settings, docs(ctx, settings))
}

func docs(ctx context.Context, settings Settings) error {
	source := &session{Settings: settings}
	if err := source.load(); err != nil { // which has nothing to do with the account
		return WithCode(CodeSettings, err)
	}
	d, err := exported(ctx, settings)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		settings.Printer.Notef("The stage cannot be asked: %v", err)
		settings.Printer.Notef("What follows is deploy/%s as it would be deployed.", openapi.File)
		if d, err = source.undeployed(); err != nil {
			return err
		}
	}
	files, err := source.writeDocs(d)
	if err != nil {
		return err
	}
	if !settings.Serve {
		settings.Printer.Result(map[string]any{"files": files}, fmt.Sprintf("\nDocument  %s\n          %s", files[0], files[1]))
		return nil
	}
	return d.serve(ctx, settings, files)
}

// exported returns what the stage itself says.
func exported(ctx context.Context, settings Settings) (*documentation, error) {
	s, err := open(ctx, settings)
	if err != nil {
		return nil, err
	}
	now, err := s.deployed(ctx)
	if err != nil {
		return nil, err
	}
	s.Printer.Stepf("Exporting the document of stage %s", s.stage.Name)
	d := &documentation{}
	if d.document, err = s.export(ctx, now, nil); err != nil {
		return nil, err
	}
	if d.gateway, err = s.export(ctx, now, map[string]string{"extensions": "apigateway"}); err != nil {
		return nil, err
	}
	authorization := now.Parameters[authorizationParameter]
	document, err := s.readable(now, d.document, authorization)
	if err != nil {
		return nil, err
	}
	d.page = reference.Page{Document: document, Links: []reference.Link{{Text: "Stage " + s.stage.Name}}, Proxy: proxyPath}
	stage, err := url.Parse(s.invokeURL(now))
	if err != nil {
		return nil, fmt.Errorf("read the address of the stage: %w", err)
	}
	var authorize func(*http.Request) error
	if authorization == template.AuthorizationIAM {
		d.page.Note = "Requests are signed on their way to the stage, with the credentials that this was started with."
		d.page.Curl = sigv4.Curl(s.account.Region, "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY") +
			` -H "X-Amz-Security-Token: $AWS_SESSION_TOKEN"`
		authorize = func(r *http.Request) error { return sigv4.Sign(r, s.account.Config.Credentials, s.account.Region) }
	}
	d.proxy = reference.Proxy(stage, authorize, &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true})
	return d, nil
}

// export returns the document of the stage as API Gateway exports it ("Export a REST API from API Gateway").
func (s *session) export(ctx context.Context, now *current, parameters map[string]string) ([]byte, error) {
	out, err := apigateway.NewFromConfig(s.account.Config).GetExport(ctx, &apigateway.GetExportInput{
		RestApiId: aws.String(now.Outputs["ApiId"]), StageName: &s.stage.Name,
		ExportType: aws.String("oas30"), Accepts: aws.String("application/json"), Parameters: parameters,
	})
	if err != nil {
		return nil, fmt.Errorf("export the document of the stage: %w", awserror.Explain(err))
	}
	return out.Body, nil
}

// readable returns the document of the stage for its page. API Gateway keeps no examples and not all of the schemas: where the source is
// what is deployed, that is shown instead of the export.
func (s *session) readable(now *current, export []byte, authorization string) (*openapi.Document, error) {
	invokeURL, name := s.invokeURL(now), "The stage "+s.stage.Name
	source, err := s.source.Render(template.Options{Parameters: s.parameters()})
	if err != nil {
		return nil, err
	}
	present, err := s.body(source)
	if err != nil {
		return nil, err
	}
	deployed, err := s.body(now.template)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(present, deployed) {
		document, err := openapi.Read(os.DirFS(filepath.Join(s.Root, "deploy")))
		if err != nil {
			return nil, err
		}
		return document.ForStage(invokeURL, name, authorization), nil
	}
	s.Printer.Notef("The source has changed since the stage was deployed, so its page has no more than API Gateway keeps (no examples).")
	document, err := openapi.Parse(export)
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
func (s *session) undeployed() (*documentation, error) {
	document, err := openapi.Read(os.DirFS(filepath.Join(s.Root, "deploy")))
	if err != nil {
		return nil, err
	}
	rendered, err := s.source.Render(template.Options{Parameters: s.parameters()})
	if err != nil {
		return nil, err
	}
	body, err := s.body(rendered)
	if err != nil {
		return nil, err
	}
	public := document.Public()
	return &documentation{document: public.JSON(), gateway: body, page: reference.Page{
		Document: public, Links: []reference.Link{{Text: "Source"}}, CrossOrigin: true,
		Note: fmt.Sprintf("The stage %s could not be asked for its document: this is the source's. "+
			"Requests go to the server that is chosen below.", s.stage.Name),
	}}, nil
}

// writeDocs writes the documents to docs/api, in a form that differs only where they do, and returns the names of the files.
func (s *session) writeDocs(d *documentation) ([]string, error) {
	dir := filepath.Join("docs", "api")
	if err := os.MkdirAll(filepath.Join(s.Root, dir), 0o755); err != nil {
		return nil, fmt.Errorf("write the documents: %w", err)
	}
	var files []string
	for _, file := range []struct {
		extension string
		content   []byte
	}{{".json", d.document}, {".apigateway.json", d.gateway}} {
		name := filepath.Join(dir, s.stage.Name+file.extension)
		content, err := sorted(file.content)
		if err == nil {
			err = os.WriteFile(filepath.Join(s.Root, name), content, 0o644) //nolint:gosec // it is for everybody to read
		}
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
		files = append(files, name)
	}
	return files, nil
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

const (
	// proxyPath is where the page sends what is for the stage, below its own path.
	proxyPath     = "stage"
	headerTimeout = 30 * time.Second
)

// serve serves the page until ctx ends. Its address has a part that cannot be guessed: other users of this machine could ask here too,
// and what they ask would have the credentials of this one.
func (d *documentation) serve(ctx context.Context, settings Settings, files []string) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(settings.Port)))
	if err != nil {
		return WithCode(CodeSettings, fmt.Errorf("serve the reference: %w; PORT=0 takes a free one", err))
	}
	path := "/" + rand.Text() + "/"
	mux := http.NewServeMux()
	reference.Handle(mux, path, func(*http.Request) (reference.Page, error) { return d.page, nil })
	if d.proxy != nil {
		mux.Handle(path+proxyPath+"/", http.StripPrefix(path+proxyPath, d.proxy))
	}
	server := &http.Server{Handler: loopback.Guard(mux), ReadHeaderTimeout: headerTimeout}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	address := "http://" + listener.Addr().String() + path
	settings.Printer.Result(map[string]any{"files": files, "url": address},
		fmt.Sprintf("\nDocument   %s\n           %s\nReference  %s\n\nCtrl-C ends it.", files[0], files[1], address))
	if settings.Browse != nil {
		if err := settings.Browse(address); err != nil {
			settings.Printer.Notef("no browser could be started (%v): open the address in one", err)
		}
	}
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

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
