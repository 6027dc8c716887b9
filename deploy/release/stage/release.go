package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/userrequestapi/userdata/deploy/aws/changeset"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/template"
)

// Record describes a release. It is stored in the Metadata of the stack's template.
type Record struct {
	Number     int               // the first release is 1
	Key        string            // object key of the template
	Previous   string            // object key of the previous release's template; "" for the first release
	Digest     string            // SHA-256 of the template without this record, in hexadecimal
	Source     string            // git describe of the source; "" if unknown
	Parameters map[string]string // of the template
}

// ReadRecord returns the record in a template, or the zero value if it has none.
func ReadRecord(r *template.Rendered) Record {
	var result Record
	encoded, err := json.Marshal(r.Metadata())
	if err == nil {
		err = json.Unmarshal(encoded, &result)
	}
	if err != nil { // written by something else
		return Record{}
	}
	return result
}

// Release is the stack of a stage and the release that it has.
type Release struct {
	*changeset.Description
	Template *template.Rendered // nil if it has none, as during an import
	Record   Record
}

// Deployed returns the template of the stack, or nil if r is nil or the stack has none.
func (r *Release) Deployed() *template.Rendered {
	if r == nil {
		return nil
	}
	return r.Template
}

// Serves reports whether r, which may be nil, is deployed completely.
func (r *Release) Serves() bool { return r != nil && r.Record.Number > 0 && r.Outputs["ApiId"] != "" }

// Release returns the current stack, or nil if there is none. It returns an error for a stack that this tool did not
// create.
func (s *Stage) Release(ctx context.Context) (*Release, error) {
	description, err := s.Stack.Describe(ctx)
	if errors.Is(err, changeset.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := &Release{Description: description}
	if r.Status == cftypes.StackStatusReviewInProgress { // a change set that was never executed: no resources yet
		return r, nil
	}
	document, err := s.Stack.Template(ctx)
	if err != nil || len(document) == 0 {
		return r, err
	}
	if r.Template, err = template.Open(document, description.Parameters); err != nil || r.Template.Metadata() == nil {
		return nil, exitcode.Errorf(exitcode.Settings, "the stack %s in account %s, %s, was not created by this tool: "+
			"delete it, rename it, or choose another stage", s.StackName(), s.Account.ID, s.Account.Region)
	}
	r.Record = ReadRecord(r.Template)
	return r, nil
}

// ErrNotDeployed means that the stage has no deployed release.
var ErrNotDeployed = errors.New("is not deployed")

// Deployed returns the release of a deployed stage. The error wraps [ErrNotDeployed] if the stage is not deployed.
func (s *Stage) Deployed(ctx context.Context) (*Release, error) {
	r, err := s.Release(ctx)
	if err == nil && !r.Serves() {
		err = s.NotDeployed(r)
	}
	return r, err
}

// NotDeployed returns the error for a stage that is not deployed. r is its stack, or nil if there is none.
func (s *Stage) NotDeployed(r *Release) error {
	status := "there is no stack " + s.StackName()
	if r != nil {
		status = fmt.Sprintf("its stack is in %s", r.Status)
	}
	return exitcode.Errorf(exitcode.Settings, "stage %s %w in account %s, %s (%s): deploy it with %s",
		s.Name, ErrNotDeployed, s.Account.ID, s.Account.Region, status, s.Command("deploy"))
}
