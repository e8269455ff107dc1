// What our issuer issued is rolled back: neither renew nor issue-and-deploy brings it back, a renewal ends the hold, and the
// certificate that is kept ready can take its place.
import { X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { remember, testOutput } from '../issue-command.js'
import { at, openRenewWorld } from '../renew/renew-world.js'
import { type RunResult, runCommand } from '../run-command.js'
import { startStubCa } from '../stub-ca.js'

const here = { here: true } as const
const name = 'a.example.com'

t.test('a certificate of our issuer', async (t) => {
  const world = await openRenewWorld(t)
  const { ca } = world
  const second = await startStubCa(t)
  const since = (days: number) => ({
    notBefore: new Date(Date.now() - days * 86_400_000),
    notAfter: new Date(Date.now() + (85 - days) * 86_400_000),
  })
  mkdirSync(world.path('web'))
  const words = [...at(ca, world.path('web'), name), '--directory', world.path('a'), '--standby', second.directoryUrl]
  const run = async (line: readonly string[]): Promise<RunResult> => {
    const result = await runCommand([...line, '--state-dir', world.state], { folder: world.folder, ...here })
    remember(result, world.state)
    return result
  }
  const holdFile = join(world.state, 'deployments', name, 'hold.json')
  const holdOf = (): { readonly away: readonly string[] } => JSON.parse(readFileSync(holdFile, 'utf8'))
  const ended = (result: RunResult, code = 0) =>
    t.equal(result.code, code, result.code === code ? `exit ${code}` : result.stdout + result.stderr)

  const sumOf = (pem: string): string => new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase()
  const renewNow = async (): Promise<string> => {
    ended(await world.renew([name, '--force-renewal'], here))
    return world.deployed('a')
  }

  ca.manners.lifetime = since(3)
  second.manners.lifetime = since(2)
  ended(await world.issue(words, here))
  const first = world.deployed('a')
  ended(await world.renew([], here))
  // Of one age: neither is older than the other.
  ca.manners.lifetime = since(1)
  const [bad, worse] = [await renewNow(), await renewNow()]
  t.equal(new Set([first, bad, worse]).size, 3)

  await t.test('goes back to the one before, not to the one that stands by', async (t) => {
    ended(await run(['rollback']))
    t.equal(world.deployed('a'), bad, 'of one age, and not the same')
    const result = await run(['rollback'])
    ended(result)
    t.equal(world.deployed('a'), first)
    t.same(holdOf().away.toSorted(), [sumOf(bad), sumOf(worse)].sort())
    t.match(result.stderr, /is held at .* acme-oss renew a\.example\.com --force-renewal/)
  })

  await t.test('is kept away also where nothing but the store knows it', async (t) => {
    rmSync(holdFile)
    rmSync(join(world.state, 'deployments', name, sumOf(worse).slice(0, 12)), { recursive: true })
    ended(await run(['rollback', '--to', readdirSync(world.path('a')).sort()[0] ?? '']))
    t.equal(world.deployed('a'), first)
    t.ok(holdOf().away.includes(sumOf(worse)))
  })

  await t.test('is not brought back by renew, nor by issue-and-deploy, which has it in store', async (t) => {
    const renewed = await world.renew([], here)
    ended(renewed)
    t.same(
      renewed.json.results.map(({ due }) => due),
      [false, false],
      'when it is due is another matter',
    )
    const again = await world.issue([...words, '--json'], here)
    ended(again)
    t.match(JSON.parse(again.stdout), { ok: true, order: { placed: false }, stages: [], pending: [] })
    t.match(JSON.parse(again.stdout).warnings, [/^a\.example\.com was rolled back from /])
    t.equal(world.deployed('a'), first)
    ended(await run(['sync', '--now']))
    t.equal(world.deployed('a'), first)
  })

  await t.test('goes to the one that stands by, without the archive', async (t) => {
    const store = join(world.state, 'certificates', `${name}~standby`)
    const { current } = JSON.parse(readFileSync(join(store, 'certificate.json'), 'utf8'))
    const kept = readFileSync(join(store, current.id, 'fullchain.pem'), 'utf8')
    const result = await run(['rollback', name, '--to', 'standby', '--json'])
    ended(result)
    const { certificate, hold } = JSON.parse(result.stdout)
    t.equal(certificate.name, name, 'filed under the name that it takes the place in')
    t.ok(kept.startsWith(world.deployed('a')))
    t.ok([first, worse].every((one) => hold.away.includes(sumOf(one))))
    const history = await run(['history', '--json'])
    ended(history)
    t.match(
      JSON.parse(history.stdout).places[0].archives.filter((one: { standby: boolean }) => one.standby),
      [{ archive: hold.archive, held: true, latest: true }],
    )
  })

  await t.test('is left behind by the next one', async (t) => {
    ended(await world.renew([name, '--force-renewal'], here))
    t.notOk([first, bad, worse].includes(world.deployed('a')))
    t.notOk(existsSync(holdFile))
  })

  await t.test('of none that stands by, that is said', async (t) => {
    rmSync(join(world.state, 'certificates', `${name}~standby`), { recursive: true })
    rmSync(join(world.state, 'deployments', `${name}~standby`), { recursive: true })
    const before = world.deployed('a')
    const result = await run(['rollback', '--to', 'standby', '--json'])
    ended(result, 2)
    t.match(JSON.parse(result.stdout).error, { code: 'ARCHIVE_UNUSABLE', message: /no certificate is kept ready for/ })
    t.equal(world.deployed('a'), before)
  })
})

t.test('nothing was given away by any of this', async (t) => testOutput(t))
