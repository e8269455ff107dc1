import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import t, { type Test } from 'tap'
import { answerTooLarge, HttpConnections, largestAnswer } from '../src/http-connections.js'
import { until } from './deploy-world.js'

interface Listening {
  readonly url: string
  readonly sockets: readonly Socket[]
}

const listen = async (t: Test, server: Server): Promise<Listening> => {
  const sockets: Socket[] = []
  server.on('connection', (socket: Socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets }
}

const answering = (t: Test): Promise<Listening> =>
  listen(
    t,
    createServer({ keepAliveTimeout: 0 }, (incoming, response) => {
      incoming.resume().on('end', () => response.end(`${incoming.method} ${incoming.url}`))
    }),
  )

const opened = (t: Test): HttpConnections => {
  const connections = new HttpConnections()
  t.teardown(() => connections.close())
  return connections
}

const get = (connections: HttpConnections, url: string, signal = new AbortController().signal) =>
  connections.request({ method: 'GET', url, headers: { host: new URL(url).host }, signal })

t.test('connections are opened before there is anything to say, and used', async (t) => {
  const { url, sockets } = await answering(t)
  const connections = opened(t)
  connections.open(new URL(url), '127.0.0.1', 3)
  connections.open(new URL(url), '127.0.0.1', 3)
  await until('three connections', () => sockets.length === 3)
  const answers = await Promise.all([1, 2, 3].map((i) => get(connections, `${url}/${i}`)))
  t.same(
    answers.map(({ status, body }) => `${status} ${body}`),
    ['200 GET /1', '200 GET /2', '200 GET /3'],
  )
  t.equal(sockets.length, 3, 'no other was needed')
  await get(connections, `${url}/4`)
  t.equal(sockets.length, 3, 'and they stay open')
})

t.test('those that were closed meanwhile are passed over', async (t) => {
  const { url, sockets } = await answering(t)
  const connections = opened(t)
  connections.open(new URL(url), '127.0.0.1', 2)
  await until('two connections', () => sockets.length === 2)
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => setTimeout(resolve, 100))
  t.equal((await get(connections, url)).status, 200)
  t.equal(sockets.length, 3)
})

t.test('a place where nobody listens is left for the request to report', async (t) => {
  const { url } = await listen(t, createServer())
  const gone = createServer()
  gone.listen(0, '127.0.0.1')
  await once(gone, 'listening')
  const { port } = gone.address() as AddressInfo
  gone.close()
  const connections = opened(t)
  connections.open(new URL(`http://127.0.0.1:${port}`), '127.0.0.1', 2)
  await new Promise((resolve) => setTimeout(resolve, 50))
  await t.rejects(get(connections, `http://127.0.0.1:${port}/`), { code: 'ECONNREFUSED' })
  t.ok(url)
})

t.test('what is sent arrives as it is', async (t) => {
  let seen = ''
  const { url } = await listen(
    t,
    createServer((incoming, response) => {
      const pieces: Buffer[] = []
      incoming.on('data', (piece: Buffer) => pieces.push(piece))
      incoming.on('end', () => {
        seen = `${incoming.method} ${incoming.headers['x-test']} ${Buffer.concat(pieces)}`
        response.writeHead(201, { 'X-Answer': 'yes' }).end()
      })
    }),
  )
  const { signal } = new AbortController()
  const headers = { 'x-test': 1, 'content-length': 4 }
  const answer = await opened(t).request({ method: 'PUT', url, headers, body: Buffer.from('body'), signal })
  t.equal(seen, 'PUT 1 body')
  t.match(answer, { status: 201, headers: { 'x-answer': 'yes' } })
  t.equal(answer.body.length, 0)
})

t.test('an answer without end is not read to its end', async (t) => {
  const { url } = await listen(
    t,
    createServer((_incoming, response) => {
      const piece = Buffer.alloc(1024 * 1024)
      const more = (): void => {
        while (!response.destroyed && response.write(piece));
        if (!response.destroyed) response.once('drain', more)
      }
      more()
    }),
  )
  await t.rejects(get(opened(t), url), { code: answerTooLarge, message: 'the answer is too large' })
  t.ok(largestAnswer >= 1024 * 1024)
})

t.test('cancelled, in every state', async (t) => {
  const { url } = await listen(
    t,
    createServer((incoming, response) => {
      if (incoming.url === '/half') response.writeHead(200, { 'Content-Length': 100 }).write('half')
    }),
  )
  for (const path of ['/silent', '/half']) {
    const reason = new Error('enough')
    const abort = new AbortController()
    setTimeout(() => abort.abort(reason), 100)
    const thrown = await get(opened(t), url + path, abort.signal).catch((error: unknown) => error)
    t.equal(thrown, reason, path)
  }
  const before = await get(opened(t), url, AbortSignal.abort(new Error('before'))).catch((error: unknown) => error)
  t.match(before, { message: 'before' })
})

t.test('hung up on in the middle of an answer', async (t) => {
  const { url } = await listen(
    t,
    createServer((_incoming, response) => {
      response.writeHead(200, { 'Content-Length': 100 }).write('half', () => response.socket?.destroy())
    }),
  )
  await t.rejects(get(opened(t), url), { code: 'ECONNRESET' })
})

t.test('every name below localhost is this machine', async (t) => {
  const { url, sockets } = await answering(t)
  const { port } = new URL(url)
  const connections = opened(t)
  const host = `http://my-bucket.localhost:${port}`
  connections.open(new URL(host), 'my-bucket.localhost', 1)
  await until('a connection', () => sockets.length === 1)
  t.equal((await get(connections, `${host}/x`)).body.toString(), 'GET /x')
  t.equal(sockets.length, 1)
})

t.test('closed, nothing is left open', async (t) => {
  const { url, sockets } = await answering(t)
  const connections = new HttpConnections()
  connections.open(new URL(url), '127.0.0.1', 2)
  await get(connections, url)
  await until('two connections', () => sockets.length === 2)
  connections.close()
  await until('the end of both', () => sockets.every((socket) => socket.destroyed || socket.readableEnded))
  t.pass('both have ended')
})
