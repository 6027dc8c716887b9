package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/userrequestapi/userdata/deploy/bench/instant"
	"github.com/userrequestapi/userdata/deploy/local/dynamodb"
)

// Database is what the functions read from and write to.
type Database string

// Values of [Database].
const (
	Instant    Database = "instant"     // responds at once, see package instant
	InstantTLS Database = "instant-tls" // the same with TLS, as DynamoDB
	// InstantOneRoot is InstantTLS for a function that trusts one root certificate instead of those of the system.
	InstantOneRoot Database = "instant-tls-one-root"
	Local          Database = "dynamodb-local" // DynamoDB Local
	noDatabase     Database = ""               // of the floor
)

// Databases returns all databases.
func Databases() []Database { return []Database{Instant, InstantTLS, InstantOneRoot, Local} }

// DefaultDatabases returns the databases that [Run] uses by default.
func DefaultDatabases() []Database { return []Database{Instant, InstantTLS, Local} }

// database is a running database.
type database struct {
	name        Database
	environment map[string]string // environment variables of a function that uses it
	stores      bool              // keeps items, so that a deleted one must be created again
	disconnect  func()            // closes the connections; nil if the database cannot
	creators    map[*creator]*environment
}

// databases starts the databases and creates the example items in them. closeAll is never nil.
func (p *project) databases(
	ctx context.Context, o Options, work string, subjects []*subject, result *Result,
) (started []*database, closeAll func() error, err error) {
	var closers []func() error
	closeAll = func() error {
		var errs []error
		for _, c := range slices.Backward(closers) { // the execution environments before their database
			errs = append(errs, c())
		}
		return errors.Join(errs...)
	}
	var items map[string]instant.Item // recorded by the first instant database
	for _, name := range o.Databases {
		if ctx.Err() != nil {
			return started, closeAll, context.Cause(ctx)
		}
		if (name == InstantTLS || name == InstantOneRoot) && runtime.GOOS != "linux" {
			result.Notes = append(result.Notes, string(name)+" is left out: Go reads SSL_CERT_FILE on Linux only")
			continue
		}
		d := &database{name: name, creators: map[*creator]*environment{}}
		if name == Local {
			server, err := p.startLocal(ctx, o)
			if err != nil && ctx.Err() == nil && len(started) > 0 {
				result.Notes = append(result.Notes, fmt.Sprintf("%s is left out: %v", name, err))
				continue
			}
			if err != nil {
				return started, closeAll, err
			}
			closers = append(closers, server.Close, d.close)
			d.stores, d.environment = true, endpoint(server.Endpoint())
			started = append(started, d)
			continue
		}
		server, environment, err := p.startInstant(name, work)
		if err != nil {
			return started, closeAll, err
		}
		closers = append(closers, server.Close, d.close)
		d.environment, d.disconnect = environment, server.Disconnect
		started = append(started, d)
		if items == nil {
			items = p.record(ctx, o, server, d, subjects[0].create)
		}
		for table, item := range items {
			server.SetItem(table, item)
		}
	}
	if len(started) == 0 {
		return nil, closeAll, fmt.Errorf("no database is left: %s", result.Notes)
	}
	return started, closeAll, nil
}

// endpoint returns the environment variables with the endpoint of DynamoDB, for this project's functions and for those
// that use an AWS SDK.
func endpoint(url string) map[string]string {
	return map[string]string{"DYNAMODB_ENDPOINT": url, "AWS_ENDPOINT_URL_DYNAMODB": url, "AWS_ENDPOINT_URL": url}
}

func (p *project) startLocal(ctx context.Context, o Options) (_ *dynamodb.Server, err error) {
	server, err := dynamodb.Start(ctx, dynamodb.Config{Progress: o.Progress})
	if err != nil {
		return nil, err
	}
	var definitions []map[string]any
	for _, table := range p.resources.Tables() {
		definitions = append(definitions, table.Properties)
	}
	if _, err := dynamodb.EnsureTables(ctx, dynamodb.Connect(server.Endpoint()), definitions, o.Progress); err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return server, nil
}

func (p *project) startInstant(name Database, work string) (*instant.Server, map[string]string, error) {
	keys := map[string][]string{}
	for _, table := range p.resources.Tables() {
		keys[table.Name] = []string{}
		for _, attribute := range table.Key() {
			keys[table.Name] = append(keys[table.Name], attribute.Name)
		}
	}
	if name == Instant {
		server, err := instant.Start(keys, nil)
		if err != nil {
			return nil, nil, err
		}
		return server, endpoint(server.URL()), nil
	}
	certificate, root, err := instant.NewCertificate()
	if err != nil {
		return nil, nil, err
	}
	if name == InstantTLS {
		root = append(systemRoots(), root...)
	}
	file, dir := filepath.Join(work, string(name)+".pem"), filepath.Join(work, "no-roots")
	err = os.WriteFile(file, root, 0o600)
	if err = errors.Join(err, os.MkdirAll(dir, 0o750)); err != nil {
		return nil, nil, fmt.Errorf("write the root certificates: %w", err)
	}
	server, err := instant.Start(keys, certificate)
	if err != nil {
		return nil, nil, err
	}
	environment := endpoint(server.URL())
	environment["SSL_CERT_FILE"], environment["SSL_CERT_DIR"] = file, dir
	return server, environment, nil
}

// systemRoots returns the system's root certificates, which a function on Lambda reads as well.
func systemRoots() []byte {
	for _, file := range []string{ // those of crypto/x509
		"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
		"/etc/pki/tls/cacert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
	} {
		if roots, err := os.ReadFile(file); err == nil {
			return append(roots, '\n')
		}
	}
	return nil
}

// record creates the example items and returns what the functions wrote. An item that no function creates is the
// example itself, in the table with its key.
func (p *project) record(
	ctx context.Context, o Options, server *instant.Server, d *database, creators []*creator,
) map[string]instant.Item {
	server.Record(true)
	for _, c := range creators {
		if err := d.create(ctx, c); err != nil && ctx.Err() == nil {
			o.Progress(fmt.Sprintf("%s did not create the example item, which is used as it is: %v", c.request, err))
		}
	}
	server.Record(false)
	items := server.Items()
	for _, table := range p.resources.Tables() {
		if items[table.Name] != nil || len(table.Key()) == 0 {
			continue
		}
		for _, c := range p.resources.API().Document.Collections() {
			if c.Key == table.Key()[0].Name && c.Example != nil {
				items[table.Name] = marshalItem(c.Example)
				break
			}
		}
	}
	return items
}

// marshalItem returns an item in DynamoDB JSON.
func marshalItem(example map[string]any) instant.Item {
	item := instant.Item{}
	for name, value := range example {
		item[name], _ = json.Marshal(marshalValue(value)) // cannot fail: the example is from JSON
	}
	return item
}

func marshalValue(value any) map[string]any {
	switch value := value.(type) {
	case nil:
		return map[string]any{"NULL": true}
	case bool:
		return map[string]any{"BOOL": value}
	case string:
		return map[string]any{"S": value}
	case map[string]any:
		return map[string]any{"M": marshalItem(value)}
	case []any:
		list := make([]any, len(value))
		for i, element := range value {
			list[i] = marshalValue(element)
		}
		return map[string]any{"L": list}
	default:
		return map[string]any{"N": fmt.Sprint(value)}
	}
}

// prepare creates the example items, if the database keeps items. One that exists is not an error.
func (d *database) prepare(ctx context.Context, creators []*creator) error {
	if !d.stores {
		return nil
	}
	for _, c := range creators {
		_ = d.create(ctx, c) // the measured request reports that the item is missing
	}
	return ctx.Err()
}

// create creates the example item of a collection. The creator's execution environment stays for the next time.
func (d *database) create(ctx context.Context, c *creator) (err error) {
	e := d.creators[c]
	if e == nil {
		if e, err = start(c.subject.configuration(d), false, func(int) error { return nil }); err != nil {
			return err
		}
		d.creators[c] = e
	}
	_, err = e.invoke(ctx, c.event)
	return err
}

// close ends the execution environments of the creators.
func (d *database) close() error {
	var errs []error
	for _, e := range d.creators {
		errs = append(errs, e.Close())
	}
	return errors.Join(errs...)
}
