// Runs the scenarios on one of the clients that Node programs use. WSE_TEST says which.
import { WebSocket as WS } from 'ws'
import { WebSocket as Undici } from 'undici'
import * as msgpack from '@msgpack/msgpack'
import { webcrypto } from 'node:crypto'
import { settings, event, disconnect, report } from './admin.mjs'
import { run, foreign, packed, scenarios } from './scenarios.mjs'

const ws = (options) => class extends WS {
  constructor (url, protocols) { super(url, protocols, options) }
}

const clients = {
  'ws': { WebSocket: ws({ perMessageDeflate: false }), deflate: false },
  'ws with permessage-deflate': { WebSocket: ws({ perMessageDeflate: { threshold: 64 } }), deflate: true },
  'undici': { WebSocket: Undici, deflate: true },
  'node': { WebSocket: globalThis.WebSocket, deflate: true },
  'ws of a foreign page': { WebSocket: ws({ origin: 'http://evil.example' }), deflate: true, list: foreign }
}

const { list = { ...scenarios, ...packed }, ...client } = clients[settings.client]
if (!client.WebSocket) throw new Error('this Node has no WebSocket of its own: ' + process.version)
await run({ ...settings, ...client, msgpack, crypto: webcrypto, event, disconnect }, report, list)
