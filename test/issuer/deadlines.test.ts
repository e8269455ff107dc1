// A limit in time must hold whatever else the process does meanwhile: Node forgets a timeout that is only part of an
// `AbortSignal.any` as soon as it collects its garbage, and loading the ACME client makes plenty of that.
import { createServer, type Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { CertError } from '../../src/errors.js'
import { AcmeSession } from '../../src/issuer/acme-session.js'
import { CaConnection } from '../../src/issuer/ca-connection.js'
import { patiently } from '../../src/patience.js'
import { generateKey } from '../mint.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** What goes wrong, while garbage is collected all the time; a text where nothing does for 15 s. */
const failureOf = async (work: Promise<unknown>): Promise<unknown> => {
  const collecting = setInterval(collectGarbage, 20)
  let guard: NodeJS.Timeout | undefined
  const endless = new Promise((resolve) => {
    guard = setTimeout(() => resolve('it goes on for ever'), 15_000)
  })
  try {
    return await Promise.race([
      work.then(
        () => 'it succeeds',
        (error: unknown) => error,
      ),
      endless,
    ])
  } finally {
    clearInterval(collecting)
    clearTimeout(guard)
  }
}

t.test('of an attempt', async (t) => {
  const interruption = new AbortController()
  let told: unknown
  const attempt = (signal: AbortSignal): Promise<never> =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        told = signal.reason
        reject(new CertError('CA_UNAVAILABLE', 'no answer in time', { passing: true }))
      })
    })
  const failure = await failureOf(patiently(attempt, { timeout: 400.5, signal: interruption.signal }))
  t.match(failure, { code: 'CA_UNAVAILABLE', message: 'no answer in time' })
  t.match(told, { name: 'TimeoutError' })
})

t.test('of a request to a CA', async (t) => {
  const sockets = new Set<Socket>()
  const silent = createServer((socket) => sockets.add(socket.on('error', () => undefined)))
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    silent.close()
    for (const socket of sockets) socket.destroy()
  })
  const { port } = silent.address() as { readonly port: number }
  for (const protocol of ['http', 'https']) {
    const connection = new CaConnection(undefined)
    t.teardown(() => connection.close())
    const session = new AcmeSession({
      directoryUrl: `${protocol}://127.0.0.1:${port}/dir`,
      ca: 'silent',
      connection,
      accountKey: generateKey('ec256'),
      accountUrl: undefined,
      externalAccount: undefined,
      directory: undefined,
      timeout: 500,
      signal: new AbortController().signal,
    })
    const failure = await failureOf(session.directory())
    t.match(failure, { code: 'CA_UNAVAILABLE', message: /no answer in time/ }, protocol)
    session.close()
  }
})
