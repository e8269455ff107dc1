import t from 'tap'
import { versionsOf } from '../../src/proof/tls-versions.js'
import { mintLeaf } from '../mint.js'
import { answering, closedPort, presenting } from './tls-server.js'

const host = 'www.example.com'
const leaf = await mintLeaf({ names: [host] })
const { signal } = new AbortController()

const ask = async ({ address, port }: { readonly address: string; readonly port: number }, timeout = 10_000) =>
  (await versionsOf(host, { connect: [{ address, port }], timeout, signal })).answers

// As servers of old ones are.
const ciphers = 'DEFAULT:@SECLEVEL=0'

t.test('each version is accepted or refused by itself', async (t) => {
  for (const [minVersion, maxVersion, taken] of [
    ['TLSv1', 'TLSv1.2', ['1.0', '1.1', '1.2']],
    ['TLSv1.1', 'TLSv1.1', ['1.1']],
    ['TLSv1.2', 'TLSv1.3', ['1.2', '1.3']],
    ['TLSv1.3', 'TLSv1.3', ['1.3']],
  ] as const) {
    const answers = await ask(await presenting(t, leaf, [], { minVersion, maxVersion, ciphers }))
    t.same(
      Object.entries(answers).flatMap(([version, answer]) => (answer === 'accepted' ? [version] : [])),
      taken,
    )
    t.same(new Set(Object.values(answers)), new Set(['accepted', 'refused']))
  }
})

t.test('where nobody answers, nothing is said of any version', async (t) => {
  const nothing = { '1.0': 'unknown', '1.1': 'unknown', '1.2': 'unknown', '1.3': 'unknown' }
  t.same(await ask({ address: '127.0.0.1', port: await closedPort() }), nothing, 'closed')
  t.same(await ask(await answering(t, () => undefined), 100), nothing, 'silent')
  const { at, answers } = await versionsOf('nowhere.invalid', { signal, timeout: 2000 })
  t.equal(at, undefined)
  t.same(answers, nothing, 'no address')
})

t.test('hanging up is a refusal', async (t) => {
  const answers = await ask(await answering(t, (socket) => socket.once('data', () => socket.destroy())))
  t.same(new Set(Object.values(answers)), new Set(['refused']))
})
