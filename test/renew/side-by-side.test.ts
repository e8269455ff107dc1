// What the certificates of one run of `renew` have in common, and what happens to them meanwhile.
import { once } from 'node:events'

import { type AddressInfo, createServer } from 'node:net'
import t from 'tap'
import { testOutput } from '../issue-command.js'
import { openRenewWorld } from './renew-world.js'

const isDue = { days: 90, used: 0.7 }
const isFresh = { days: 90, used: 0.1 }
const here = { here: true }

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '::')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

t.test('one server on one port, for what is remembered and what is configured', async (t) => {
  const world = await openRenewWorld(t)
  const { ca } = world
  const port = await freePort()
  const issuer = ['--ca', ca.directoryUrl, '--agree-tos', '--http-port', `${port}`, '--dns-timeout', '30']
  ca.manners.lifetime = isDue
  t.equal((await world.issue(['-d', 'a.example.com', ...issuer, '--directory', world.path('a')], here)).code, 0)
  ca.manners.lifetime = isFresh
  world.configure(`
account: { agree-tos: true }
certificates:
  b.example.com:
    domains: [b.example.com]
    issue: { ca: '${ca.directoryUrl}', http-port: ${port} }
    deploy: [{ directory: { path: '${world.path('b')}' } }]
`)
  // Neither order is over before the other has begun.
  let release = () => {}
  const both = new Promise<void>((resolve) => {
    release = resolve
  })
  const waits = async () => {
    await Promise.race([both, new Promise((resolve) => setTimeout(resolve, 5000).unref())])
    return undefined
  }
  ca.onRequest(1, waits, { kind: 'authorization' })
  ca.onRequest(2, async () => void release(), { kind: 'newOrder' })
  const { code, json, stderr } = await world.renew([], here)
  t.equal(code, 0, stderr)
  t.match(json.results, [
    { name: 'b.example.com', order: { placed: true }, error: null },
    { name: 'a.example.com', order: { placed: true }, error: null },
  ])
})

t.test('nothing that anybody printed', async (t) => testOutput(t))
