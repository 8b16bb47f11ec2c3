package conn

// QueuedBytes returns what queues take of the server's budget, without any lock.
func (s *Server) QueuedBytes() int64 { return s.queueBudget.Used() }
