// A renewal that failed while nobody was watching: `status` says why, until it goes well.
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import type { FailedRenewal } from '../../src/state/failed-renewal.js'
import { testOutput } from '../issue-command.js'
import { runCommand } from '../run-command.js'
import { problem } from '../stub-ca.js'
import { openRenewWorld } from './renew-world.js'

const name = 'a.example.com'
const here = { here: true }

interface StatusJson {
  readonly results: readonly {
    readonly renewal: { readonly due: boolean; readonly error: { readonly code: string } | null } | null
    readonly concerns: readonly { readonly kind: string; readonly sentence: string }[]
  }[]
}

t.test('until it goes well', async (t) => {
  const world = await openRenewWorld(t)
  mkdirSync(world.path('web'))
  const configure = (more = ''): void =>
    world.configure(`account: { agree-tos: true }
certificates:
  ${name}:
    domains: [${name}]
    issue: { ca: '${world.ca.directoryUrl}', webroot: '${world.path('web')}'${more} }
    deploy: [{ directory: { path: '${world.path('out')}' } }]
`)
  const file = world.path('state', 'certificates', name, 'renewal.json')
  const written = (): FailedRenewal => JSON.parse(readFileSync(file, 'utf8')) as FailedRenewal
  const status = async (): Promise<StatusJson['results']> => {
    const { stdout } = await runCommand(['status', '--no-look', '--json', '--state-dir', world.state], here)
    return (JSON.parse(stdout) as StatusJson).results
  }
  configure()
  world.ca.fail('newOrder', problem(403, 'rejectedIdentifier', 'not this one'), 2)
  t.equal((await world.renew(['--dry-run'], here)).code, 0)
  t.notOk(existsSync(world.state))
  t.equal((await world.renew([], here)).code, 1)
  t.equal((await world.renew([], here)).code, 1)
  t.match(written(), { schema: 1, tries: 2, passing: false, error: { code: 'CA_REFUSED', message: /not this one/ } })
  const [failed, ...others] = await status()
  t.same(others, [])
  t.match(failed, {
    name,
    certificate: null,
    renewal: { due: true, at: null, error: { code: 'CA_REFUSED' } },
    concerns: [
      { kind: 'renewal', sentence: /^a\.example\.com could not be issued \(2 tries since .*\): .*not this one/ },
    ],
  })
  t.equal(JSON.parse(readFileSync(world.path('state', 'last-run.json'), 'utf8')).status, 1)

  t.equal((await world.renew([], here)).code, 0)
  t.notOk(existsSync(file), 'it went well')
  t.match(await status(), [{ name, renewal: { due: false, error: null }, concerns: [], daysLeft: Number }])
  t.equal(JSON.parse(readFileSync(world.path('state', 'last-run.json'), 'utf8')).status, 0)

  // It is good for long, and what is asked for cannot be made sense of.
  configure(", profile: 'x', key-type: nonsense")
  t.equal((await world.renew([], here)).code, 1)
  t.match(written(), { tries: 1, passing: false })
  t.match(await status(), [{ renewal: { due: false }, concerns: [{ kind: 'renewal' }] }])
  configure()
  t.equal((await world.renew([], here)).code, 0)
  t.notOk(existsSync(file), 'there is nothing to be done')

  configure(', key-type: nonsense')
  t.equal((await world.renew([], here)).code, 1)
  t.ok(existsSync(file))
  t.equal((await runCommand(['forget', name, '--state-dir', world.state], here)).code, 0)
  const [forgotten] = await status()
  t.match(forgotten, { renewal: null, concerns: [] }, 'nobody wants to know any more')
})

t.test('what was printed', async (t) => testOutput(t))
