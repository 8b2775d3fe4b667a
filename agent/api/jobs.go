package api

import (
	"net/http"
	"sync"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// States of a job.
const (
	jobRunning = "running"
	jobDone    = "done"
	jobFailed  = "failed"
)

// A Job is something that goes on when its request has been answered.
type Job struct {
	ID      string                `json:"id"`
	Kind    string                `json:"kind"` // refresh, or the verb of an agent
	State   string                `json:"state"`
	Host    string                `json:"host,omitzero"`
	Plugin  string                `json:"plugin,omitzero"`
	Begun   int64                 `json:"begun"`          // ns
	Ended   int64                 `json:"ended,omitzero"` // ns
	Result  *telemetry.ChangeList `json:"result,omitzero"`
	Refresh *telemetry.RefreshJob `json:"refresh,omitzero"`
	Error   *Problem              `json:"error,omitzero"`
}

// jobOfRefresh returns a refresh, which the hub keeps, as a job.
func jobOfRefresh(r telemetry.RefreshJob) Job {
	j := Job{ID: r.ID, Kind: "refresh", State: jobRunning, Begun: r.Begun, Ended: r.Ended, Refresh: &r}
	if r.Ended != 0 {
		j.State = jobDone
	}
	return j
}

// Limits of the jobs that are kept.
const (
	mostJobs = 1000
	jobTime  = time.Hour // after its end
)

// jobs are the operations of agents that were asked for here.
type jobs struct {
	wait sync.WaitGroup

	mu     sync.Mutex
	closed bool // no further one begins
	all    map[string]*Job
	order  []string // ids, oldest first
}

// begin adds a job, in place of the oldest one that has ended, and runs it; nil when no further one may begin.
func (k *jobs) begin(j Job, run func(*Job)) *Job {
	j.ID, j.State, j.Begun = newID(), jobRunning, time.Now().UnixNano()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil
	}
	if k.all == nil {
		k.all = map[string]*Job{}
	}
	k.expire(time.Now())
	k.all[j.ID] = &j
	k.order = append(k.order, j.ID)
	k.wait.Go(func() { run(&j) })
	return &j
}

// close lets no further job begin. Those under way can be waited for then.
func (k *jobs) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
}

// expire drops jobs that ended an hour ago, and the oldest that have ended where there are too many. Those that run are few.
func (k *jobs) expire(now time.Time) {
	extra := len(k.order) + 1 - mostJobs
	left := k.order[:0]
	for _, id := range k.order {
		ended := k.all[id].Ended
		if ended != 0 && (extra > 0 || now.Sub(time.Unix(0, ended)) > jobTime) {
			delete(k.all, id)
			extra--
			continue
		}
		left = append(left, id)
	}
	k.order = left
}

// end notes how a job went.
func (k *jobs) end(j *Job, result telemetry.ChangeList, p *Problem) {
	k.mu.Lock()
	defer k.mu.Unlock()
	j.Ended, j.State = time.Now().UnixNano(), jobDone
	if p != nil {
		j.State, j.Error = jobFailed, p
		return
	}
	j.Result = &result
}

// get returns a job as it is.
func (k *jobs) get(id string) (Job, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	j := k.all[id]
	if j == nil || j.Ended != 0 && time.Since(time.Unix(0, j.Ended)) > jobTime {
		return Job{}, false
	}
	return *j, true
}

func (c *call) job() error {
	id := c.r.PathValue("id")
	if !plainText(id) {
		return invalid("id", "a job's id is a text of at most %d bytes", mostName)
	}
	if j, ok := c.s.jobs.get(id); ok {
		return c.json(http.StatusOK, j)
	}
	r, err := c.s.o.Hub.Job(id)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, jobOfRefresh(r))
}

// accepted answers with a job that goes on.
func (c *call) accepted(j Job) error {
	c.w.Header().Set("Location", root+"/jobs/"+j.ID)
	return c.json(http.StatusAccepted, j)
}
