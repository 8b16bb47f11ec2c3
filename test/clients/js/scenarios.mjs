// What every client written in JavaScript has to see of the engine. The file runs unchanged in Node, on the libraries
// there, and in the browser: it uses the WebSocket interface of the WHATWG and nothing else.
//
// env: {WebSocket, url, user, token, deflate: true | false, event(type, user, payload), disconnect(connectionID)}

const patience = 60_000

const assert = (ok, ...what) => {
  if (!ok) throw new Error(what.map((w) => (typeof w === 'string' ? w : JSON.stringify(w))).join(' '))
}

const equal = (got, want, what) => {
  assert(JSON.stringify(got) === JSON.stringify(want), what, 'is', got ?? String(got), 'instead of', want)
}

// through passes bytes through a stream that compresses or inflates.
const through = async (bytes, stream) => new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer())

// 'deflate' means zlib (RFC 1950) there.
const inflate = async (bytes) => new TextDecoder().decode(await through(bytes, new DecompressionStream('deflate')))

const deflate = (text) => through(new TextEncoder().encode(text), new CompressionStream('deflate'))

const base64 = {
  encode: (bytes) => btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join('')),
  decode: (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
}

// Seal is a client's side of the encryption (PROTOCOL §2.6), by WebCrypto.
class Seal {
  constructor (crypto) {
    this.crypto = crypto
    this.key = null
  }

  // offer makes a pair of keys and returns the public one.
  async offer () {
    this.pair = await this.crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, false, ['deriveBits'])
    return base64.encode(new Uint8Array(await this.crypto.subtle.exportKey('raw', this.pair.publicKey)))
  }

  async agree (serverKey) {
    const { subtle } = this.crypto
    const theirs = await subtle.importKey('raw', base64.decode(serverKey), { name: 'ECDH', namedCurve: 'P-256' }, false, [])
    const secret = await subtle.importKey('raw', await subtle.deriveBits({ name: 'ECDH', public: theirs }, this.pair.privateKey, 256), 'HKDF', false, ['deriveKey'])
    const hkdf = { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(0), info: new TextEncoder().encode('wse-encryption/aes-gcm-key') }
    this.key = await subtle.deriveKey(hkdf, secret, { name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt'])
  }

  async seal (bytes) {
    const iv = this.crypto.getRandomValues(new Uint8Array(12))
    const sealed = new Uint8Array(await this.crypto.subtle.encrypt({ name: 'AES-GCM', iv }, this.key, bytes))
    return new Uint8Array([0x45, 0x3a, ...iv, ...sealed])
  }

  async open (bytes) {
    equal([bytes[0], bytes[1]], [0x45, 0x3a], 'what a sealed frame begins with')
    return new Uint8Array(await this.crypto.subtle.decrypt({ name: 'AES-GCM', iv: bytes.subarray(2, 14) }, this.key, bytes.subarray(14)))
  }
}

// Client reads a WebSocket's messages one after another.
class Client {
  constructor (env, path, protocols = []) {
    this.msgpack = env.msgpack
    this.seal = new Seal(env.crypto ?? globalThis.crypto)
    this.queue = []
    this.waiting = null
    this.ws = new env.WebSocket(env.url + path, protocols)
    this.ws.binaryType = 'arraybuffer'
    this.ws.addEventListener('message', ({ data }) => this.#push({ data }))
    this.ws.addEventListener('close', ({ code, reason, wasClean }) => this.#push({ close: { code, reason, wasClean } }))
    this.opened = new Promise((resolve, reject) => {
      this.ws.addEventListener('open', resolve)
      this.ws.addEventListener('error', (e) => reject(new Error('the connection failed: ' + (e.message ?? 'no reason given'))))
    })
    this.opened.catch(() => {}) // whoever waits for it is told
  }

  #push (item) {
    this.queue.push(item)
    this.waiting?.()
  }

  async #next (what) {
    if (this.queue.length === 0) {
      let timer
      await new Promise((resolve, reject) => {
        this.waiting = resolve
        timer = setTimeout(() => reject(new Error('nothing came while waiting for ' + what)), patience)
      })
      clearTimeout(timer)
    }
    return this.queue.shift()
  }

  // message returns the next message as it came.
  async message () {
    const item = await this.#next('a message')
    assert('data' in item, 'closed instead of a message:', item.close)
    return item.data
  }

  // open reads a message of v2 in whatever form it came (PROTOCOL §2.6) and notes the form.
  async open (data) {
    if (this.seal.key) {
      assert(typeof data !== 'string', 'a message came in the clear:', data)
      data = (await this.seal.open(new Uint8Array(data))).buffer
      if (new Uint8Array(data)[0] === 0x7b) data = new TextDecoder().decode(data)
    }
    if (typeof data !== 'string') {
      const bytes = new Uint8Array(data)
      if (bytes[0] === 0x43 && bytes[1] === 0x3a) { // C:
        return [JSON.parse(await inflate(bytes.subarray(2))), 'C:']
      }
      assert(this.msgpack, 'a message of v2 came in a binary frame')
      return [this.msgpack.decode(bytes), 'msgpack']
    }
    assert(data.startsWith('{"t":"'), 't is not the first key (PROTOCOL §2.1):', data)
    const e = JSON.parse(data)
    if (e.cmp !== true) return [e, 'text']
    return [{ ...e, p: JSON.parse(await inflate(base64.decode(e.p))) }, 'cmp']
  }

  // envelope returns the next message of v2, past heartbeats.
  async envelope () {
    for (;;) {
      const [e, form] = await this.open(await this.message())
      equal(e.v, 2, 'v of ' + JSON.stringify(e))
      this.form = form
      if (e.t !== 'heartbeat') return e
    }
  }

  async until (t) {
    for (;;) {
      const e = await this.envelope()
      if (e.t === t) return e
    }
  }

  // closed waits for the end, past messages.
  async closed () {
    for (;;) {
      const item = await this.#next('the end')
      if (item.close) return item.close
    }
  }

  async leave (code = 1000) {
    this.ws.close(code)
    const end = await this.closed()
    equal(end.code, code, 'the close code')
    assert(end.wasClean, 'the server did not answer the close')
  }

  request (t, id, p) {
    this.ws.send(JSON.stringify({ t, id, p }))
  }
}

const connect = async (env, query = '') => {
  const c = new Client(env, '/wse?token=' + env.token + query, ['unheard.of', 'wse.v2'])
  await c.opened
  const first = await c.envelope()
  equal(first.t, 'server_ready', 'the first message')
  return [c, first.p.details]
}

const subscribe = async (c, topics, more = {}) => {
  c.request('subscription_update', 'sub', { action: 'subscribe', topics, ...more })
  const answer = await c.until('subscription_update')
  equal(answer.cid, 'sub', 'cid')
  return answer.p
}

const refused = async (env, query, code) => {
  const c = new Client(env, '/wse' + query, ['wse.v2'])
  await c.opened
  const told = await c.envelope()
  equal([told.t, told.p.code, told.p.recoverable], ['error', code, false], 'what is told')
  const end = await c.closed()
  equal([end.code, end.wasClean], [4401, true], 'the end')
}

const sameBytes = (a, b) => a.length === b.length && a.every((x, i) => x === b[i])

export const scenarios = {
  async 'messages of every kind and size are echoed' (env) {
    const c = new Client(env, '/echo')
    await c.opened
    for (const text of ['', 'hello', 'żółw 🐢', 'x'.repeat(126), '0123456789'.repeat(7000), 'long '.repeat(200_000)]) {
      c.ws.send(text)
      assert((await c.message()) === text, 'a text of', text.length, 'came back as something else')
      const bytes = new TextEncoder().encode(text)
      c.ws.send(bytes)
      assert(sameBytes(new Uint8Array(await c.message()), bytes), bytes.length, 'bytes came back as something else')
    }
    await c.leave()
  },

  async 'the subprotocol and the extension are agreed on' (env) {
    const [c] = await connect(env)
    equal(c.ws.protocol, 'wse.v2', 'the subprotocol')
    equal(c.ws.extensions.includes('permessage-deflate'), env.deflate, 'permessage-deflate in ' + JSON.stringify(c.ws.extensions))
    await c.leave()
  },

  async 'server_ready is the first message' (env) {
    const [c, details] = await connect(env)
    equal([details.version, details.user_id], [2, env.user], 'version and user')
    for (const field of ['connection_id', 'server_time', 'features', 'endpoints']) assert(details[field], field, 'is missing')
    await c.leave()
  },

  async 'topics of the query are subscribed at once' (env) {
    const [c] = await connect(env, '&topics=order_events,position_events')
    const { p } = await c.until('subscription_update')
    equal([...p.success_topics].sort(), [`user:${env.user}:order_events`, `user:${env.user}:position_events`], 'success_topics')
    await c.leave()
  },

  async 'a domain event arrives mapped by the stock plugin' (env) {
    const [c] = await connect(env)
    equal((await subscribe(c, ['broker_account_events'])).success, true, 'success')
    await env.event('BrokerAccountLinked', env.user, { broker_account_id: 'acc_123', status: 'linked' })
    const e = await c.until('broker_account_update')
    equal(e.p, { original_event_type: 'BrokerAccountLinked', broker_account_id: 'acc_123', status: 'linked' }, 'p')
    equal([e.tp, e.seq, e.o, e._msg_cat], [`user:${env.user}:broker_account_events`, 1, 1, 'U'], 'the envelope')
    await c.leave()
  },

  async 'a large publication arrives whole' (env) {
    const [c] = await connect(env)
    await subscribe(c, ['position_events'])
    const note = 'a position of some size; '.repeat(2000)
    await env.event('PositionOpenedEvent', env.user, { note })
    equal((await c.until('position_update')).p.note === note, true, 'the note arriving whole')
    await c.leave()
  },

  async 'a large publication arrives in the form that was asked for' (env) {
    const text = 'compressible, '.repeat(1000)
    for (const [query, form] of [['', 'cmp'], ['&compression=true', 'C:'], ['&compression=false', 'text']]) {
      const [c, details] = await connect(env, query)
      equal([details.features.compression, details.features.msgpack], [env.deflate || form !== 'text', false], 'the features with ' + query)
      await subscribe(c, ['position_events'])
      await env.event('PositionOpenedEvent', env.user, { text })
      equal((await c.until('position_update')).p.text === text, true, 'the text arriving whole with ' + query)
      equal(c.form, env.deflate ? 'text' : form, 'the form with ' + query)
      await c.leave()
    }
  },

  async 'requests are read in every form' (env) {
    const [c] = await connect(env)
    const padding = 'x'.repeat(3000)
    const ping = (id) => ({ t: 'ping', id, p: { timestamp: 1700000000000, padding } })
    const zip = await deflate(JSON.stringify(ping('zip')))
    c.ws.send(new Uint8Array([0x43, 0x3a, ...zip]))
    equal((await c.until('PONG')).cid, 'zip', 'cid of C:')
    c.ws.send(JSON.stringify({ ...ping('cmp'), p: base64.encode(await deflate(JSON.stringify(ping().p))), cmp: true }))
    equal((await c.until('PONG')).p.client_timestamp, 1700000000000, 'the timestamp of cmp')
    c.ws.send(new TextEncoder().encode('C:this is no zlib'))
    equal((await c.until('error')).p.code, 'INVALID_MESSAGE', 'the code')
    c.request('ping', 'still', {})
    equal((await c.until('PONG')).cid, 'still', 'cid')
    await c.leave()
  },

  async 'everything is encrypted once a key was agreed on' (env) {
    const [c, details] = await connect(env, '&encryption=true')
    equal([details.features.encryption, c.ws.extensions], [true, ''], 'encryption, and no permessage-deflate beside it')
    const sealed = async (t, id, p) => {
      const frame = await c.seal.seal(new TextEncoder().encode(JSON.stringify({ t, id, p })))
      c.ws.send(frame)
      return frame
    }
    c.request('client_hello', 'hello', { encryption_public_key: await c.seal.offer() })
    const hello = await c.until('server_hello')
    equal([hello.cid, c.form], ['hello', 'text'], 'server_hello')
    await c.seal.agree(hello.p.encryption_public_key)

    await sealed('subscription_update', 'sub', { action: 'subscribe', topics: ['position_events'] })
    equal((await c.until('subscription_update')).p.success, true, 'success')
    const note = 'żółw 🐢 '.repeat(500)
    await env.event('PositionOpenedEvent', env.user, { note })
    equal((await c.until('position_update')).p.note === note, true, 'the note arriving whole')
    equal(c.form, 'cmp', 'the form inside')

    const again = await sealed('ping', 'once', {})
    equal((await c.until('PONG')).cid, 'once', 'cid')
    c.ws.send(again)
    equal((await c.until('error')).p.code, 'INVALID_MESSAGE', 'what is said to a replay')
    again[again.length - 1] ^= 1
    again[3] ^= 1
    c.ws.send(again)
    equal((await c.until('error')).p.code, 'INVALID_MESSAGE', 'what is said to a forgery')
    c.request('ping', 'clear', {})
    equal((await c.until('error')).p.code, 'INVALID_MESSAGE', 'what is said to a message in the clear')

    await sealed('client_hello', 'renew', { encryption_public_key: await c.seal.offer() })
    await c.seal.agree((await c.until('server_hello')).p.encryption_public_key)
    await sealed('ping', 'renewed', {})
    equal((await c.until('PONG')).cid, 'renewed', 'cid under the new key')
    await c.leave()
  },

  async 'a key that is none is refused' (env) {
    const [c] = await connect(env, '&encryption=true')
    c.request('client_hello', 'hello', { encryption_public_key: base64.encode(new Uint8Array(65)) })
    const e = await c.until('error')
    equal([e.cid, e.p.code], ['hello', 'KEY_EXCHANGE_FAILED'], 'the refusal')
    c.request('ping', 'still', {})
    equal((await c.until('PONG')).cid, 'still', 'cid')
    await c.leave()
  },

  async 'another user\'s topic is refused' (env) {
    const [c] = await connect(env)
    const answer = await subscribe(c, ['user:somebody_else:order_events'])
    equal([answer.success, answer.failed_topics.length], [false, 1], 'the answer')
    await c.leave()
  },

  async 'a bad token is told and closed with 4401' (env) {
    await refused(env, '?token=' + env.token.slice(0, -4) + 'AAAA', 'AUTH_FAILED')
  },

  async 'no token is told and closed with 4401' (env) {
    await refused(env, '?token=undefined', 'AUTH_REQUIRED')
  },

  async 'a malformed message is answered and the connection kept' (env) {
    const [c] = await connect(env)
    c.ws.send('{not json')
    equal((await c.until('error')).p.code, 'INVALID_MESSAGE', 'the code')
    c.request('ping', 'still', { timestamp: Date.now() })
    equal((await c.until('PONG')).cid, 'still', 'cid')
    c.ws.send('PING')
    await c.until('PONG')
    await c.leave()
  },

  async 'the client\'s close is answered with its code' (env) {
    for (const code of [1000, 3000, 4999]) {
      const [c] = await connect(env)
      await c.leave(code)
    }
  },

  async 'what was missed after a drop is replayed without gap or duplicate' (env) {
    const topic = `user:${env.user}:order_events`
    const place = (id) => env.event('OrderPlacedEvent', env.user, { order_id: id })
    const [lost, details] = await connect(env)
    await subscribe(lost, [topic])
    await place('1')
    const seen = await lost.until('order_update')
    await env.disconnect(details.connection_id)
    assert((await lost.closed()).wasClean, 'the server dropped the connection without a close frame')
    for (const id of ['2', '3', '4']) await place(id)

    const [c] = await connect(env)
    const answer = await subscribe(c, [topic], { recover: true, recovery: { [topic]: { epoch: seen.e, offset: seen.o } } })
    equal([answer.recovery[topic].recovered, answer.recovery[topic].count], [true, 3], 'recovery')
    await place('5')
    for (const [i, id] of ['2', '3', '4', '5'].entries()) {
      const e = await c.until('order_update')
      equal([e.p.order_id, e.o, e.seq, e.e], [id, seen.o + i + 1, seen.o + i + 1, seen.e], 'publication ' + id)
    }
    await c.leave()
  }
}

// packed is for clients that have a library for MessagePack: env.msgpack is {encode, decode}.
export const packed = {
  async 'every message is MessagePack where that was asked for' (env) {
    const [c, details] = await connect(env, '&format=msgpack')
    equal([c.form, details.version, details.features.msgpack, details.user_id], ['msgpack', 2, true, env.user], 'server_ready')
    const send = (t, id, p) => c.ws.send(env.msgpack.encode({ t, id, p }))
    send('subscription_update', 'sub', { action: 'subscribe', topics: ['position_events'] })
    const answer = await c.until('subscription_update')
    equal([c.form, answer.cid, answer.p.success], ['msgpack', 'sub', true], 'the answer')
    const note = 'żółw 🐢 '.repeat(500)
    await env.event('PositionOpenedEvent', env.user, { note, n: [1, -1, 1.5, 4294967296, null, true] })
    const e = await c.until('position_update')
    equal([c.form, e.p.n, e.tp, e.o === e.seq], ['msgpack', [1, -1, 1.5, 4294967296, null, true], `user:${env.user}:position_events`, true], 'the envelope')
    assert(e.p.note === note, 'the note came back as something else')
    send('ping', 'now', { timestamp: Date.now() })
    equal((await c.until('PONG')).cid, 'now', 'cid')
    c.ws.send(env.msgpack.encode({ t: 'ping', p: { timestamp: NaN } }))
    equal((await c.until('error')).p.code, 'INVALID_MESSAGE', 'the code')
    send('sync_request', 'sync', { topics: ['order_events'], when: new Date(), bytes: new Uint8Array(3) })
    equal((await c.until('error')).p.code, 'SYNC_ERROR', 'the code')
    await c.leave()
  }
}

// run runs all scenarios, or those of a list, and hands each result to report: {name, error?}.
export const run = async (env, report, list = scenarios) => {
  for (const [name, scenario] of Object.entries(list)) {
    try {
      await scenario(env)
      await report({ name })
    } catch (e) {
      await report({ name, error: String(e?.message ?? e) })
    }
  }
}

// foreign is for a page whose origin is not on the server's list.
export const foreign = {
  async 'a page of another origin is told and closed with 4403' (env) {
    const c = new Client(env, '/wse?token=' + env.token, ['wse.v2'])
    await c.opened
    const told = await c.envelope()
    equal([told.t, told.p.code], ['error', 'ORIGIN_NOT_ALLOWED'], 'what is told')
    const end = await c.closed()
    equal([end.code, end.wasClean], [4403, true], 'the end')
  }
}
