package process

import (
	"context"
	"errors"
	"os/exec"
	"syscall"
	"time"
)

// interruptGrace is the time an interrupted program has to end.
const interruptGrace = 3 * time.Second

// Run starts cmd and waits until it has ended. When ctx ends, Run sends SIGINT to the process group, because the go
// command removes its work folder only then. After 3 s it kills the group. The error is then ctx's cause.
func Run(ctx context.Context, cmd *exec.Cmd) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	cmd.WaitDelay = time.Second // do not wait for a grandchild that keeps the output open
	p, err := Start(cmd)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
		return p.Wait()
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), p.stop(syscall.SIGINT, interruptGrace))
	}
}
