// Package config fills a configuration struct from a YAML file, the environment and `key=value` settings, in that order,
// and reports every fault at once, each with where it came from.
//
// The struct's `yaml` tags name its fields; `inline` is understood, "-" leaves a field out. What a source does not mention
// keeps the value the struct had before, which is its default; a list is replaced as a whole.
//
// A fault reads
//
//	FILE:LINE: config: plugins[2].limits.fuel: is text, not a whole number
//
// with "environment NAME" or "--set PATH" in place of FILE:LINE for the other sources. Values are only repeated where they
// are numbers, since anything else may be a secret.
//
// The YAML understood is what a configuration needs: one document, mappings, lists and scalars. Anchors, aliases, merge keys
// and tags are refused, so that every value stands on one line that a fault can name, and a small file stays small.
//
// Environment: WSE_ADMIN__LISTEN is admin.listen: the prefix WSE_, then the path in capitals with two underscores for each
// dot; list elements are numbered, WSE_PLUGINS__0__NAME. A variable whose name has two underscores must be a field. One that
// has not and is no field is somebody else's and passed over (Kubernetes makes WSE_SERVICE_HOST for a service called wse).
//
// Settings: admin.listen=127.0.0.1:9090, plugins[0].limits.fuel=1000 or plugins.0.limits.fuel=1000. One past the last index
// adds an element. Values in both are YAML, but a field that is text takes them as they are.
//
// Ownership: the package has no state.
package config
