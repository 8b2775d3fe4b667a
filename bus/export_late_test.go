package bus

import "time"

// Age makes what is under way older by d.
func (p *Publisher) Age(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.slots {
		p.slots[i].first = p.slots[i].first.Add(-d)
	}
}
