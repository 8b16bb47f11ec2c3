// Package docs runs what engine/OPERATING.md and sdk/FIRST-PLUGIN.md tell a reader to paste, and compares what comes out with what they show.
//
// A page is cut into runs by comments: <!-- run: NAME --> begins one, in an empty directory and a shell of its own, and
// <!-- run: NAME needs TOOL --> one that is left out, loudly, where .ci/setup cannot provide the tool. In a run every block
// fenced as sh is pasted into the shell, and a block fenced as text that follows shows what it prints: line by line, where …
// stands for any text, and a line of … alone for any lines. What stands before the first such comment is not run.
package docs
