package liveness

import (
	"testing"
	"time"
)

func TestMassIsOneIncident(t *testing.T) {
	r := newRig(t)
	hosts := names(100)
	r.run(40*time.Second, hosts...)
	r.take()
	r.run(3*time.Minute, hosts[40:]...) // 40 fall silent within one interval
	all := r.take()
	mass, _ := count(all, TypeMass)
	overdue, _ := count(all, TypeOverdue)
	down, _ := count(all, TypeDown)
	if mass != 1 || overdue != 40 || down != 40 {
		t.Fatalf("%d incidents, %d OVERDUE, %d DOWN", mass, overdue, down)
	}
	var incident Change
	for _, c := range all {
		if c.Type == TypeMass {
			incident = c
		}
	}
	if incident.Host != "" || incident.Count < 20 || incident.Count > 30 {
		t.Errorf("%+v", incident)
	}
	for _, c := range all {
		if c.Type != TypeDown {
			continue
		}
		if held := c.At.Mono - incident.At.Mono; c.Incident != incident.Incident || held != 45*time.Second {
			t.Errorf("%s down %v after the incident, of incident %q", c.Host, held, c.Incident)
		}
	}
	r.hear(r.beat("h0", 1))
	if c := r.take()[0]; c.Incident != incident.Incident {
		t.Errorf("up again without the incident: %+v", c)
	}
	if p, _ := r.w.Peer("h0"); p.Incident != "" {
		t.Errorf("UP, and of incident %s", p.Incident)
	}
}

func TestMassThatComesBack(t *testing.T) {
	r := newRig(t)
	hosts := names(50)
	r.run(40*time.Second, hosts...)
	r.take()
	r.run(50 * time.Second)
	r.run(time.Minute, hosts...)
	all := r.take()
	mass, _ := count(all, TypeMass)
	down, _ := count(all, TypeDown)
	up, _ := count(all, TypeUp)
	if mass != 1 || down != 0 || up != 50 {
		t.Errorf("%d incidents, %d DOWN, %d UP", mass, down, up)
	}
}

func TestFewAreNoMass(t *testing.T) {
	f := func(all, silent, mass int) {
		t.Helper()
		r := newRig(t)
		hosts := names(all)
		r.run(40*time.Second, hosts...)
		r.run(2*time.Minute, hosts[:all-silent]...)
		if got, _ := count(r.take(), TypeMass); got != mass {
			t.Errorf("%d of %d silent: %d incidents, want %d", silent, all, got, mass)
		}
	}
	f(3, 2, 0)
	f(3, 3, 1)
	f(15, 3, 0) // 20 %, not more
	f(14, 3, 1)
	f(100, 20, 0)
	f(100, 21, 1)
}

// TestSlowTrickleIsNoMass has one host after the other go.
func TestSlowTrickleIsNoMass(t *testing.T) {
	r := newRig(t)
	hosts := names(20)
	for n := range hosts {
		r.run(15*time.Second, hosts[:len(hosts)-n]...)
	}
	if mass, _ := count(r.take(), TypeMass); mass != 0 {
		t.Errorf("%d incidents", mass)
	}
}

func TestThoseThatAnswerAreNoMass(t *testing.T) {
	r := newRig(t)
	hosts := names(100)
	r.outcome = func(string) Outcome { return Alive }
	r.run(40*time.Second, hosts...)
	r.run(40*time.Second, hosts[40:]...)
	all := r.take()
	mass, _ := count(all, TypeMass)
	if overdue, _ := count(all, TypeOverdue); mass != 0 || overdue != 40 {
		t.Errorf("%d OVERDUE that answer, %d incidents", overdue, mass)
	}
}

func TestForgottenAreNoMass(t *testing.T) {
	r := newRig(t)
	r.run(40*time.Second, names(8)...)
	for range 40 {
		r.run(time.Second)
		for _, host := range r.asked {
			r.w.Forget(host, r.at())
		}
	}
	if mass, _ := count(r.take(), TypeMass); mass != 0 {
		t.Errorf("%d incidents", mass)
	}
}

func TestMassOff(t *testing.T) {
	rules := DefaultRules()
	rules.MassShare = 0
	r := newRigWith(t, rules)
	r.run(40*time.Second, names(10)...)
	r.run(50 * time.Second)
	all := r.take()
	if mass, _ := count(all, TypeMass); mass != 0 {
		t.Errorf("%d incidents", mass)
	}
	if down, _ := count(all, TypeDown); down != 10 {
		t.Errorf("%d DOWN", down)
	}
}
