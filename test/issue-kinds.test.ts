// What kind of certificate is asked for: its profile, its chain, and whose key it has.
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { certificatesIn, testOutput } from './issue-command.js'
import { startStubCa } from './stub-ca.js'
import { setUp, succeeded, type Trial } from './stub-trial.js'

const latest = ({ place }: Trial): string => readFileSync(join(place.folder, 'out/latest/fullchain.pem'), 'utf8')

const profileOf = ({ place }: Trial): string | undefined => {
  const file = join(place.state, 'certificates/a.example.com/certificate.json')
  const { current } = JSON.parse(readFileSync(file, 'utf8')) as { current: { profile?: string } }
  return current.profile
}

/** Most of it is tried in this process. */
const runHere = ({ run }: Trial, more: readonly string[] = []) => run(more, { here: true })

t.test('profiles', async (t) => {
  const trial = await setUp(t)
  const { ca } = trial
  const day = { hours: 144, used: 0.1 }
  ca.manners.profiles = {
    tlsserver: { description: 'for web servers' },
    shortlived: { description: 'for six days', lifetime: day },
  }
  const unknown = await runHere(trial, ['--profile', 'longlived'])
  t.equal(unknown.code, 1)
  t.match(unknown.json.error, {
    code: 'CA_REFUSED',
    message: /does not offer the profile longlived$/,
    hint: 'it offers: tlsserver (for web servers); shortlived (for six days)',
    vendor: { code: 'invalidProfile' },
  })
  t.equal(ca.count('newOrder'), 0)
  t.ok(trial.isClean())

  succeeded(t, await trial.run(['--profile', 'shortlived']))
  t.equal(ca.orders.at(-1)?.profile, 'shortlived')
  t.equal(profileOf(trial), 'shortlived', 'it is known what it is')
  const { validFrom, validTo } = new X509Certificate(latest(trial))
  t.equal(Date.parse(validTo) - Date.parse(validFrom), 144 * 3_600_000)
  t.match(await runHere(trial, ['--profile', 'shortlived']), { code: 0, json: { order: { placed: false } } })

  t.match(
    await runHere(trial, ['--profile', 'tlsserver']),
    { code: 0, json: { order: { placed: true } } },
    'another one',
  )
  t.match(await runHere(trial), { code: 0, json: { order: { placed: true } } }, 'and none at all')
  t.same(
    ca.orders.map(({ profile }) => profile),
    ['shortlived', 'tlsserver', undefined],
  )
  t.equal(profileOf(trial), undefined)
})

t.test('a CA without profiles', async (t) => {
  const [trial, second] = await Promise.all([setUp(t), startStubCa(t)])
  const { ca } = trial
  const name = new URL(second.directoryUrl).host
  const first = await runHere(trial, ['--profile', 'shortlived'])
  t.equal(first.code, 1)
  t.match(first.json.error, { code: 'CA_REFUSED', hint: 'it has no profiles: leave --profile out' })
  t.same([ca.count('newOrder'), second.connections], [0, 0])

  ca.manners.profiles = { tlsserver: {} }
  const both = await runHere(trial, ['--profile', 'shortlived', '--ca', second.directoryUrl])
  succeeded(t, both, 'does without where it is asked instead')
  t.match(both.json, {
    order: { ca: name },
    warnings: [
      /does not offer the profile shortlived: .* is asked instead$/,
      `${name} has no profiles: the certificate is ordered without shortlived`,
    ],
  })
  t.same([second.orders.length, second.orders[0]?.profile, ca.count('newOrder')], [1, undefined, 0])
  const again = await runHere(trial, ['--profile', 'shortlived', '--ca', second.directoryUrl])
  t.match(again.json.order, { placed: false }, 'nor is it ordered again each time for want of one')
})

t.test('the chain', async (t) => {
  const trial = await setUp(t)
  const { ca } = trial
  ca.manners.alternateRoots = ['Old Root', 'Older Root']
  const rootOf = async (...more: readonly string[]) => {
    const result = await runHere(trial, ['--force-renewal', ...more])
    succeeded(t, result)
    const [leaf, above, ...rest] = certificatesIn(latest(trial))
    t.ok(leaf && above && leaf.checkIssued(above) && rest.length === 0)
    return { root: above?.issuer, warnings: result.json.warnings }
  }
  t.strictSame(await rootOf('--preferred-chain', 'Older Root'), { root: 'CN=Older Root', warnings: [] })
  const fetched = ca.count('certificate')
  t.strictSame(await rootOf('--preferred-chain', 'Stub Root'), { root: 'CN=Stub Root', warnings: [] })
  t.equal(ca.count('certificate') - fetched, 1, 'that is the first one: no other is asked for')
  t.strictSame(await rootOf('--preferred-chain', 'Root'), {
    root: 'CN=Stub Root',
    warnings: ["no chain leads to Root, so the CA's own choice is taken; there are: Stub Root, Old Root, Older Root"],
  })
})

t.test('the key', async (t) => {
  const trial = await setUp(t)
  const keyAfter = async (...more: readonly string[]): Promise<string | undefined> => {
    succeeded(t, await runHere(trial, ['--force-renewal', ...more]))
    return certificatesIn(latest(trial))[0]?.publicKey.export({ type: 'spki', format: 'pem' }).toString()
  }
  const first = await keyAfter()
  t.equal(await keyAfter('--reuse-key'), first, 'kept')
  const second = await keyAfter()
  t.not(second, first, 'and new without a word')
  const third = await keyAfter('--reuse-key', '--key-type', 'ec384')
  t.not(third, second, 'another kind of key is another key')
  t.equal(await keyAfter('--reuse-key', '--key-type', 'ec384'), third)
})

t.test('nothing was given away by any of this', async (t) => testOutput(t))
