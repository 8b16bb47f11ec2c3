// The settings that the Go test hands over, and the two calls to the engine's admin API that scenarios make.
export const settings = JSON.parse(process.env.WSE_TEST)

const call = async (method, path, body) => {
  const resp = await fetch(settings.admin + path, { method, body: body && JSON.stringify(body) })
  if (!resp.ok) throw new Error(`${method} ${path}: ${resp.status} ${await resp.text()}`)
}

export const event = (type, user, payload) => call('POST', '/api/v1/events', { type, user_id: user, payload })

export const disconnect = (id) => call('DELETE', '/api/v1/connections/' + id)

// report prints a result as a line that the Go test reads.
export const report = (result) => console.log(JSON.stringify(result))
