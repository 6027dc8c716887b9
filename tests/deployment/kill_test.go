package deployment_test

import (
	"bytes"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

// kills is how many deployments are killed; some others may end before they can be.
const kills = 20

// Whenever a deployment is killed, the next one ends in a good stage. Some begin with nothing, some with a table that an earlier stage
// has left, the others change each function.
func TestKilled(t *testing.T) {
	testenv.SkipUnlessAll(t)
	t.Parallel()
	c := newCheckout(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	begun := time.Now()
	c.must([]string{"SMOKE=0"}, "deploy")
	whole := time.Since(begun) // of a first deployment that compiles everything, so most moments of the later ones are earlier

	levels := []string{"DEBUG", "INFO", "WARN"}
	var killed, finished int
	for i := 0; killed < kills; i++ {
		if i == 2*kills {
			t.Fatalf("only %d of %d deployments could be killed", killed, i)
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
			_ = cmd.Wait() // killed, as a rule
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
			whole = time.Since(begun) // nearer to what the next ones take
			if code := cmd.ProcessState.ExitCode(); code != 0 {
				t.Fatalf("deployment %d, which was not killed: exit code %d\n%s", i, code, &output)
			}
		}
		if r := c.run([]string{"JSON=1"}, "deploy"); r.code != 0 {
			t.Fatalf("deployment %d after one that was killed: exit code %d\n%s\nThe one that was killed:\n%s", i, r.code, r, &output)
		} else {
			c.crud(r.outputs(t)["ApiId"])
		}
	}
	t.Logf("%d deployments were killed, %d had ended before", killed, finished)
}
