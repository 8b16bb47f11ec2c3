package plugin

// Covers returns what tells whether a plugin with these patterns under bind is asked about a topic, or a pattern of topics.
func Covers(bind []string) func(topic string) bool {
	globs := make([]glob, len(bind))
	for i, pattern := range bind {
		globs[i] = newGlob(pattern)
	}
	return func(topic string) bool { return matchAny(globs, topic) || overlapsAny(globs, topic) }
}
