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

// interval is the polling interval.
const interval = 250 * time.Millisecond

// Supervise ends the debugger of [Command] at the address whenever its executable has ended, until ctx ends. Otherwise
// the debugger would keep running, so that an editor can restart the executable, and the process would never end.
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
			superviseOne(ctx, client, ticker)
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

// superviseOne ends one debugger when its executable has ended. It returns when the debugger or ctx has ended.
func superviseOne(ctx context.Context, client *rpc.Client, ticker *time.Ticker) {
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
