package conform

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// A scene is some checks that are made of the same processes, one after the other.
type scene struct {
	name   string
	checks []string
	own    bool // on a bus of its own, as it ill-treats it
	play   func(*stage)
}

// scenes are played side by side, once the plugin is known.
func scenes() []scene {
	return []scene{
		{name: "life", checks: []string{"config", "data", "catalog", "inputs", "derived_ids", "beats", "beat", "ping", "refresh_cached", "refresh_collect", "drain", "goodbye"}, play: life},
		{name: "refused", checks: []string{"refusal"}, play: refusal},
		{name: "settings", checks: []string{"config_change", "hostile_config", "sigterm"}, play: settings},
		{name: "hostile", checks: []string{"hostile_messages", "stdin_eof"}, play: hostile},
		{name: "bad", checks: []string{"bad_batches", "mutated_batches"}, play: badBatches},
		{name: "full", checks: []string{"back_pressure", "redelivery"}, own: true, play: full},
		{name: "outage", checks: []string{"bus_restart"}, own: true, play: outage},
	}
}

// A stage is a scene under way.
type stage struct {
	*ward
	ctx   context.Context //nolint:containedctx // of the scene, which is over when its play returns
	over  error           // why nothing more can be checked
	ready func()          // says that the plugin works
}

// check makes one check, if it is wanted or one of others that look at what it does, and if nothing has made it pointless. It
// reports whether all was well.
func (s *stage) check(name string, f func() error, others ...string) bool {
	if !slices.ContainsFunc(append(others, name), s.kit.wants) {
		return s.over == nil
	}
	err := s.over
	if err == nil {
		err = f()
	}
	s.kit.settle(name, err, s.stderr)
	var v *verdict
	return err == nil || errors.As(err, &v) && v.status == Pass
}

// need does what the checks that follow need: after an error they are skipped, and this one fails.
func (s *stage) need(name string, f func() error) bool {
	if s.over != nil {
		return false
	}
	if err := f(); err != nil {
		s.kit.settle(name, err, s.stderr)
		s.over = skipped("%s: %v", "it did not come so far", err)
		return false
	}
	return true
}

// fits reports whether something of a scene is wanted.
func (k *kit) fits(sc scene) bool {
	return slices.ContainsFunc(sc.checks, k.wants)
}

// run plays all scenes.
func (k *kit) run(ctx context.Context) error {
	main, err := newGround(ctx, filepath.Join(k.dir, "main"))
	if err != nil {
		return err
	}
	defer main.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wait sync.WaitGroup
	defer wait.Wait()
	met := make(chan error, 1) // 1: nobody may be left to take it
	wait.Go(func() { k.introduce(ctx, main, met) })
	if err := <-met; err != nil {
		wait.Wait()
		if errors.Is(err, ErrCommand) {
			return err
		}
		k.rest("there was no hello")
		return nil
	}
	wait.Go(func() { k.settle("describe", k.describes(ctx), nil) })
	works := k.playAll(ctx, main, &wait)
	wait.Wait()
	if !works {
		k.rest("its settings did not come into force")
		return nil
	}
	k.settle("permissions", nil, nil)
	k.rest("it did not come so far")
	return nil
}

// playAll begins all scenes, and reports whether the first one has found that the plugin works: else the others are pointless.
func (k *kit) playAll(ctx context.Context, main *ground, wait *sync.WaitGroup) (works bool) {
	for i, sc := range scenes() {
		if i > 0 && !k.fits(sc) {
			continue
		}
		ready := make(chan bool, 2) // 2: nobody need take them
		wait.Go(func() { k.perform(ctx, sc, main, ready) })
		if i == 0 && !<-ready {
			return false
		}
		if k.o.Alone {
			<-ready
		}
	}
	return true
}

// rest skips what was not checked.
func (k *kit) rest(why string) {
	for _, c := range checks {
		if k.wanted(c) {
			k.note(Result{Check: c.name, About: c.about, Status: Skip, Reason: why, Seconds: time.Since(k.began).Seconds()})
		}
	}
}

// perform plays one scene. ready is told whether the plugin works, as soon as that is known.
func (k *kit) perform(ctx context.Context, sc scene, g *ground, ready chan<- bool) {
	defer func() { ready <- false }()
	if sc.own {
		own, err := newGround(ctx, filepath.Join(k.dir, sc.name))
		if err != nil {
			for _, name := range sc.checks {
				k.settle(name, skipped("%v", err), nil)
			}
			return
		}
		defer own.close()
		g = own
	}
	s := &stage{ward: k.ward(g, sc.name+".1"), ctx: ctx, ready: func() { ready <- true }}
	if err := s.connectInput(); err != nil {
		s.over = skipped("%v", err)
	}
	sc.play(s)
	s.kill()
	k.overstepped(g)
}

// overstepped fails the permissions for what the server of g has refused.
func (k *kit) overstepped(g *ground) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.violations) > 0 {
		k.settle("permissions", fmt.Errorf("the bus says: %s", violation(g.violations[0])), nil)
	}
}
