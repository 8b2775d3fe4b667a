package host

import "context"

// A probe asks one file system for its usage, again and again, and never twice at the same time.
type probe struct {
	mount
	at      string      // the mount's path below the root of the machine
	answers chan answer // holds one, so that the goroutine ends although nobody waits any more
	asked   bool        // an answer is to come
	late    bool        // it did not come in time
	denied  bool        // it was said that we are not allowed to ask
}

type answer struct {
	usage usage
	err   error
}

// start asks, unless the file system has yet to answer the last time.
func (p *probe) start(statfs func(string) (usage, error)) {
	if p.late {
		select {
		case <-p.answers: // older than the time of this collection
			p.asked, p.late = false, false
		default:
		}
	}
	if p.asked {
		return
	}
	p.asked = true
	go p.ask(statfs)
}

func (p *probe) ask(statfs func(string) (usage, error)) {
	u, err := statfs(p.at)
	p.answers <- answer{u, err}
}

// wait returns the answer; ok is false when there is none by the end of ctx. One that was late once is not waited for.
func (p *probe) wait(ctx context.Context) (a answer, ok bool) {
	if p.late {
		return answer{}, false
	}
	select {
	case a = <-p.answers:
		p.asked = false
		return a, true
	case <-ctx.Done():
	}
	select {
	case a = <-p.answers: // both were ready
		p.asked = false
		return a, true
	default:
		p.late = true
		return answer{}, false
	}
}
