package process

import (
	"context"
	"errors"
	"os/exec"
	"syscall"
	"time"
)

// grace is how long an interrupted program may take to end.
const grace = 3 * time.Second

// Run runs cmd to its end. When ctx ends, the program and all that it has started are interrupted, since only then does the go
// command remove its work folder; what has not ended 3 s later is killed. The error is then ctx's cause.
func Run(ctx context.Context, cmd *exec.Cmd) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	cmd.WaitDelay = time.Second // a grandchild that keeps the output open must not keep us
	p, err := Start(cmd)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
		return p.Wait()
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), p.stop(syscall.SIGINT, grace))
	}
}
