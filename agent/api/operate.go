package api

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// How long a request waits for an operation before it answers with the job.
const (
	usualWait = 30 * time.Second
	mostWait  = time.Minute
)

// mostPiece is how long a piece of config may be, to have room in a request on the bus.
const mostPiece = 60 << 10

// operatePlugin tells the agent of a host to do something to the plugin in the address.
func (c *call) operatePlugin(verb string, args map[string]any) error {
	plugin, err := c.plugin()
	if err != nil {
		return err
	}
	if args == nil {
		args = map[string]any{}
	}
	args["plugin"] = plugin
	return c.operate(verb, plugin, args)
}

// operate tells the agent of a host to do something, and answers with what became of it, or with the job where that takes long.
func (c *call) operate(verb, plugin string, args map[string]any) error {
	h, err := c.host()
	if err != nil {
		return err
	}
	wait, err := c.duration("wait", usualWait, mostWait)
	if err != nil {
		return err
	}
	j, done, err := c.s.work(c.r.Context(), Job{Kind: verb, Host: h.Host, Plugin: plugin}, args)
	if err != nil {
		return err
	}
	c.lasts(wait)
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-c.s.closing:
	case <-c.r.Context().Done():
	}
	is, _ := c.s.jobs.get(j.ID)
	switch is.State {
	case jobDone:
		return c.json(http.StatusOK, is)
	case jobFailed:
		return is.Error
	}
	return c.accepted(is)
}

// work begins an operation. It goes on when who asked for it is gone.
func (s *Server) work(ctx context.Context, about Job, args map[string]any) (*Job, <-chan struct{}, error) {
	select {
	case s.working <- struct{}{}:
	default:
		return nil, nil, tooMany("%d operations are under way", mostOperations)
	}
	done := make(chan struct{})
	ctx, cancel := s.whileServing(context.WithoutCancel(ctx), s.o.Times.Operate)
	leave := func() { cancel(); <-s.working; close(done) }
	j := s.jobs.begin(about, func(j *Job) {
		defer leave()
		list, err := s.change(ctx, about.Host, about.Kind, args)
		var p *Problem
		if err != nil {
			p = s.told(err, "job", j.ID)
		}
		s.jobs.end(j, list, p)
	})
	if j == nil {
		leave()
		return nil, nil, fmt.Errorf("%s of host %s: the hub ends: %w", about.Kind, about.Host, context.Canceled)
	}
	return j, done, nil
}

// change asks an agent for an operation, and returns what it did. One that came to nothing is an error.
func (s *Server) change(ctx context.Context, host, verb string, args map[string]any) (telemetry.ChangeList, error) {
	payload, err := s.ask(ctx, host, verb, args)
	if err != nil {
		return telemetry.ChangeList{}, err
	}
	list, _, err := telemetry.DecodeChangeList(payload)
	if err != nil {
		return list, fmt.Errorf("answer of the agent of %s: %w", host, err)
	}
	var failed []string
	for _, c := range list.Changes {
		if c.Error != "" {
			failed = append(failed, fmt.Sprintf("%s %s: %s", c.Action, c.Plugin, c.Error))
		}
	}
	if len(failed) > 0 {
		return list, problem(http.StatusConflict, "came_to_nothing", "host %s: %s", host, strings.Join(failed, "; ")).
			hint("GET %s/hosts/%s/plugins tells how they are now", root, host)
	}
	return list, nil
}

// ask asks an agent, and returns the payload of its answer.
func (s *Server) ask(ctx context.Context, host, verb string, args map[string]any) (telemetry.Raw, error) {
	reply, err := s.o.Hub.Ask(ctx, host, verb, args)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("%s of host %s: %w", verb, host, bus.ErrTimeout)
	case err != nil:
		return nil, err
	case reply.Error != nil:
		return nil, problemOfFault(host, reply.Error)
	}
	return reply.Payload, nil
}

func (c *call) reload() error {
	dry, err := c.yes("dry_run")
	if err != nil {
		return err
	}
	return c.operate("reload", "", map[string]any{"dry_run": dry})
}

func (c *call) unload() error { return c.operatePlugin("unload", nil) }

// load makes a plugin, or another one of it, by a piece of config.
func (c *call) load() error {
	plugin, err := c.plugin()
	if err != nil {
		return err
	}
	text, err := c.body(mostPiece)
	if err != nil {
		return c.pieceTooLarge(err)
	}
	if err := onlyPlugin(text, plugin); err != nil {
		return err
	}
	return c.operate("load", plugin, map[string]any{"config": string(text), "file": "api", "replace": true})
}

func (c *call) pieceTooLarge(err error) error {
	if p, ok := errors.AsType[*Problem](err); ok && p.Status == http.StatusRequestEntityTooLarge {
		return p.hint("put it into conf.d of the host, then POST .../reload")
	}
	return err
}

// swap puts another program or config in the place of a running plugin.
func (c *call) swap() error {
	plugin, err := c.plugin()
	if err != nil {
		return err
	}
	var body struct {
		Config string   `json:"config"` // a piece of config with the new entry
		Use    string   `json:"use"`    // another program
		Run    []string `json:"run"`    // another command
		SHA256 string   `json:"sha256"` // of the new executable
	}
	if err := c.decode(&body); err != nil {
		return err
	}
	args := map[string]any{}
	if body.Config != "" {
		if len(body.Config) > mostPiece {
			return c.pieceTooLarge(tooLarge(mostPiece))
		}
		if err := onlyPlugin([]byte(body.Config), plugin); err != nil {
			return err
		}
		args["config"], args["file"] = body.Config, "api"
	}
	if body.Use != "" {
		args["use"] = body.Use
	}
	if len(body.Run) > 0 {
		args["run"] = body.Run
	}
	if config, told := body.Config != "", body.Use != "" || len(body.Run) > 0; config == told || body.Use != "" && len(body.Run) > 0 {
		return invalid("", "what takes its place? Give one of config, use and run").hint(`-d '{"use": "filter"}'`)
	}
	if body.SHA256 != "" {
		if sum, err := hex.DecodeString(body.SHA256); err != nil || len(sum) != 32 {
			return invalid("sha256", "want 64 hex digits, as sha256sum prints them")
		}
		args["sha256"] = strings.ToLower(body.SHA256)
	}
	return c.operatePlugin("swap", args)
}

// onlyPlugin refuses a piece of config that is about another plugin than the address.
func onlyPlugin(text []byte, plugin string) error {
	pieces, err := config.Split(config.Source{Name: "api", Text: text})
	if err != nil {
		return problem(http.StatusBadRequest, "config", "%v", err).hint("pacewire validate FILE checks it there")
	}
	if len(pieces) != 1 || pieces[0].Plugin != plugin {
		return problem(http.StatusBadRequest, "config", "the piece has to have the plugin %s, and no other", plugin).
			hint("collect: { %s: { ... } }, process: or publish:", plugin)
	}
	return nil
}
