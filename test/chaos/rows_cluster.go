package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/cluster"
)

// rowsOfCluster are the faults of a bus of three servers, which keep every stream three times.
func rowsOfCluster() []row {
	return []row{
		{name: "F6", title: "kill -9 of the leader of three, again and again", run: leaderKilled, promise: "no acknowledgement is 10 s late"},
		{name: "F7", title: "SIGSTOP of the leader of three for 12 s", run: leaderHalted,
			promise: "acknowledged again 10 s after it goes on at the latest; mostly another leads before, but one that is only halted may stay the leader until then"},
		{name: "F6Q", title: "kill -9 of two of three, and both back", run: quorumLost,
			promise: "nothing is acknowledged without a majority; what a publisher could not acknowledge is given to it again, and it knows that"},
	}
}

const (
	electWithin = 30 * time.Second
	syncWithin  = time.Minute
	mostLate    = 10 * time.Second
	haltFor     = 12 * time.Second
)

// A trio is a bus of three servers.
type trio struct {
	*cluster.Cluster
	t    *trial
	conn *bus.Conn
}

// onCluster starts a bus of three servers, and an agent beside it.
func (t *trial) onCluster() *trio {
	c, err := cluster.Start(t.ctx, cluster.Options{Dir: t.place.Path("cluster"), Sync: "always", MaxStore: 8 << 30})
	t.must(err, "start the cluster")
	t.cleanup(c.Close)
	t.begin(pipeline{busURL: "[ " + strings.ReplaceAll(c.URL(), ",", ", ") + " ]"})
	k := &trio{Cluster: c, t: t}
	k.look()
	t.startAgent("agent")
	t.awaitRunning()
	k.conn = t.connect(t.ctx)
	t.cleanup(k.conn.Close)
	k.awaitWhole()
	return k
}

// look tells whoever watches memory which servers run.
func (k *trio) look() {
	k.t.system.mu.Lock()
	defer k.t.system.mu.Unlock()
	k.t.system.servers = nil
	for _, n := range k.Nodes {
		if n.PID() > 0 {
			k.t.system.servers = append(k.t.system.servers, n.PID())
		}
	}
}

// state asks for that of METRICS.
func (k *trio) state() (bus.StreamState, error) {
	ctx, cancel := context.WithTimeout(k.t.ctx, 2*time.Second)
	defer cancel()
	return k.conn.StreamInfo(ctx, bus.StreamMetrics)
}

// leader waits until METRICS has one.
func (k *trio) leader() (n *cluster.Node) {
	k.t.await(electWithin, "METRICS has a leader", func() error {
		s, err := k.state()
		if err == nil {
			n = k.Node(s.Leader)
			err = yet(n != nil)
		}
		return err
	})
	return n
}

// leaderAfter waits until METRICS is led by another server than n, which has just gone.
func (k *trio) leaderAfter(n *cluster.Node) (next *cluster.Node) {
	k.t.await(electWithin, "METRICS has another leader than "+n.Name, func() error {
		next = k.leader()
		return yet(next != n)
	})
	return next
}

// awaitWhole waits until all three servers have all of METRICS.
func (k *trio) awaitWhole() {
	k.t.await(syncWithin, "all servers have all of METRICS", func() error {
		s, err := k.state()
		if err == nil && (s.Replicas != len(k.Nodes) || s.Leader == "" || len(s.Behind) > 0) {
			err = fmt.Errorf("%d servers keep it, %s leads, %v are behind", s.Replicas, s.Leader, s.Behind)
		}
		return err
	})
}

func (k *trio) kill(n *cluster.Node) {
	n.Kill()
	k.look()
}

func (k *trio) start(n *cluster.Node) {
	k.t.must(n.Start(k.t.ctx), "start a server again")
	k.look()
}

// late judges the longest time without an acknowledgement.
func (t *trial) late(most time.Duration) {
	if t.result.ackGap > most {
		t.errorf("nothing was acknowledged for %s", round(t.result.ackGap))
	}
}

// F6
func leaderKilled(t *trial) {
	k := t.onCluster()
	t.load(t.standard())
	for range t.times(2, 4) {
		t.hold(4 * time.Second)
		n, killed := k.leader(), time.Now()
		k.kill(n)
		next := k.leaderAfter(n)
		t.bite("%s leads instead of %s", next.Name, n.Name)
		t.healed(killed, time.Minute)
		t.hold(t.span(time.Second, 5*time.Second))
		k.start(n)
		k.awaitWhole()
	}
	t.settle()
	t.late(mostLate)
}

// F7
func leaderHalted(t *trial) {
	k := t.onCluster()
	t.load(t.standard())
	t.hold(4 * time.Second)
	n := k.leader()
	t.must(n.Stop(), "halt the leader")
	t.sleep(haltFor)
	t.must(n.Continue(), "let the leader go on")
	t.healed(time.Now(), time.Minute)
	acks, _ := t.oracle.Gaps()
	t.note("nothing was acknowledged for %s", round(acks))
	if next := k.leader(); next != n || acks > 2*time.Second {
		t.bite("%s leads after %s, nothing was acknowledged for %v", next.Name, n.Name, acks)
	}
	k.awaitWhole()
	t.hold(3 * time.Second)
	t.settle()
	t.late(haltFor + mostLate)
}

// F6Q
func quorumLost(t *trial) {
	k := t.onCluster()
	t.load(t.standard())
	t.hold(4 * time.Second)
	n := k.leader()
	k.kill(n)
	other := k.leaderAfter(n)
	k.kill(other)
	t.sleep(time.Second) // for what was on its way
	acked := t.oracle.Acked()
	t.hold(t.span(5*time.Second, 20*time.Second))
	if now := t.oracle.Acked(); now == acked {
		t.bite("nothing was acknowledged without a majority")
	} else {
		t.errorf("%d points were acknowledged without a majority", now-acked)
	}
	healed := time.Now()
	k.start(n)
	k.start(other)
	k.awaitWhole()
	t.healed(healed, time.Minute)
	t.settle()
}
