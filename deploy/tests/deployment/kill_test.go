package deployment_test

import (
	"bytes"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

// kills is the number of deployments to kill; some others may end before they can be killed.
const kills = 20

// TestKilled checks that after a deployment is killed at any moment, the next one succeeds. Some start with no stack,
// some with a retained table, the others with a change to each function.
func TestKilled(t *testing.T) {
	testenv.SkipUnlessAll(t)
	t.Parallel()
	c := newCheckout(t, newDeployer(t))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	begun := time.Now()
	c.must([]string{"SMOKE=0"}, "deploy")
	whole := time.Since(begun) // includes compiling everything, so most kills of later deployments come early

	levels := []string{"DEBUG", "INFO", "WARN"}
	var killed, finished int
	for i := 0; killed < kills; i++ {
		if i == 2*kills {
			t.Fatalf("killed %d of %d deployments, want %d", killed, i, kills)
		}
		switch i % 6 {
		case 0:
			c.must([]string{"CONFIRM=" + stageName, "DELETE_TABLE=UserData-" + stageName}, "destroy")
		case 3:
			c.must([]string{"CONFIRM=" + stageName}, "destroy")
		}
		c.setStage(map[string]string{"LogLevel": levels[i%len(levels)]})
		cmd := c.command([]string{"SMOKE=0"}, "deploy")
		var output bytes.Buffer
		cmd.Stdout, cmd.Stderr = &output, &output
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		begun := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			_ = cmd.Wait() // usually killed
			close(done)
		}()
		timer := time.NewTimer(time.Duration(random.Int64N(int64(whole))))
		select {
		case <-timer.C:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-done
			killed++
		case <-done:
			timer.Stop()
			finished++
			whole = time.Since(begun) // closer to the duration of the next ones
			if code := cmd.ProcessState.ExitCode(); code != 0 {
				t.Fatalf("deployment %d, which was not killed: exit code %d, want 0\n%s", i, code, &output)
			}
		}
		if r := c.run([]string{"JSON=1"}, "deploy"); r.code != 0 {
			t.Fatalf("deployment %d after a killed one: exit code %d, want 0\n%s\nThe killed one:\n%s", i, r.code, r, &output)
		} else {
			c.crud(r.outputs(t)["ApiId"])
		}
	}
	t.Logf("killed %d deployments, %d had ended before", killed, finished)
}
