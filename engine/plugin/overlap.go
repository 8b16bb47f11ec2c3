package plugin

import "strings"

// overlapsAny reports whether topic is a pattern of topics, which ends in ":*", that stands for some topic the plugin is
// bound to. Such a plugin is asked too: were it asked only where the bind matches the pattern's own text, a subscriber
// could get past a plugin bound to user:u1:secret by asking for user:u1:*.
func overlapsAny(globs []glob, topic string) bool {
	prefix, isPattern := strings.CutSuffix(topic, "*")
	if !isPattern || !strings.HasSuffix(prefix, ":") {
		return false
	}
	for i := range globs {
		if globs[i].overlaps(prefix) {
			return true
		}
	}
	return false
}

// overlaps reports whether the glob matches any string that begins with prefix and goes on.
func (g *glob) overlaps(prefix string) bool {
	switch g.kind {
	case globLiteral:
		return len(g.pattern) > len(prefix) && strings.HasPrefix(g.pattern, prefix)
	case globPrefix:
		return strings.HasPrefix(g.prefix, prefix) || strings.HasPrefix(prefix, g.prefix)
	default:
		return globOverlaps(g.pattern, prefix)
	}
}

// globOverlaps follows every way the pattern can take through prefix, and looks whether one of them can go on.
func globOverlaps(pattern, prefix string) bool {
	at := make([]bool, len(pattern)+1) // the places in pattern that prefix so far can have led to
	at[0] = true
	skipStars(pattern, at)
	for i := range len(prefix) {
		next := make([]bool, len(at))
		for p := range pattern {
			if !at[p] {
				continue
			}
			switch c := pattern[p]; {
			case c == '*':
				next[p] = true
			case c == '?' || c == prefix[i]:
				next[p+1] = true
			}
		}
		skipStars(pattern, next)
		at = next
	}
	for p := range pattern {
		if at[p] {
			return true // something of the pattern is left for what follows prefix
		}
	}
	return false
}

// skipStars adds the places behind stars, which can stand for nothing.
func skipStars(pattern string, at []bool) {
	for p := range pattern {
		if at[p] && pattern[p] == '*' {
			at[p+1] = true
		}
	}
}
