package debug

import (
	"context"
	"errors"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"strings"
	"time"
)

// interval is how often the debugger is asked.
const interval = 250 * time.Millisecond

// Supervise has the debugger that [Command] starts at the address end when its executable has, until ctx ends and however often
// the two are started again. By itself it stays, for an editor to start the executable anew, and who waits for the executable
// would wait for ever.
func Supervise(ctx context.Context, address string) {
	network := "tcp"
	if socket, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", socket
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		connection, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			client := jsonrpc.NewClient(connection)
			stop := context.AfterFunc(ctx, func() { _ = client.Close() })
			follow(ctx, client, ticker)
			stop()
			_ = client.Close()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// follow returns when the debugger has ended.
func follow(ctx context.Context, client *rpc.Client, ticker *time.Ticker) {
	for {
		err := client.Call("RPCServer.State", map[string]any{"NonBlocking": true}, &struct{}{})
		refused, ok := errors.AsType[rpc.ServerError](err)
		switch {
		case ok && strings.Contains(refused.Error(), "has exited"):
			_ = client.Call("RPCServer.Detach", map[string]any{"Kill": true}, &struct{}{})
			return
		case err != nil && !ok:
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
