// Package hostile holds what a malicious or broken plugin can try, as a corpus of modules, and shows from outside that a
// running engine names and refuses each, or contains what it does, while it goes on serving everybody else.
package hostile
