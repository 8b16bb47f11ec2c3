package conn

import "sync"

// workers runs jobs that may block, a bounded number at a time. A worker's goroutine exists while there is a job for it.
// How many jobs wait is bounded by whoever submits them: one per unfinished handshake.
type workers struct {
	max int

	mu      sync.Mutex
	jobs    []func() // guarded by mu
	running int      // guarded by mu
	wg      sync.WaitGroup
}

// submit has job run on a worker, in the order of submission. It does not block.
func (w *workers) submit(job func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.jobs = append(w.jobs, job)
	if w.running < w.max {
		w.running++
		w.wg.Go(w.work)
	}
}

func (w *workers) work() {
	for {
		w.mu.Lock()
		if len(w.jobs) == 0 {
			w.running--
			w.mu.Unlock()
			return
		}
		job := w.jobs[0]
		w.jobs[0] = nil
		if w.jobs = w.jobs[1:]; len(w.jobs) == 0 {
			w.jobs = nil
		}
		w.mu.Unlock()
		job()
	}
}

// wait returns when all jobs are done. Nothing may be submitted any more.
func (w *workers) wait() { w.wg.Wait() }
