// Orders that an earlier run began, and what becomes of them.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { testOutput } from './issue-command.js'
import { problem } from './stub-ca.js'
import { setUp, succeeded, type Trial } from './stub-trial.js'

/** Tried in this process: what a process of its own does is shown in renew/killed. */
const here = { here: true }

const ordersIn = ({ place }: Trial): string[] => readdirSync(join(place.state, 'certificates/a.example.com/orders'))

t.test('answers that could not be put in place cost no other order', async (t) => {
  const trial = await setUp(t)
  const { ca, run, web } = trial
  writeFileSync(join(web, '.well-known'), 'a file in the place of a folder')
  for (let i = 0; i < 3; i++) t.match(await run([], here), { code: 1, json: { error: { code: 'SOLVER_FAILED' } } })
  t.equal(ca.count('newOrder'), 1)
  t.equal(ca.count('challenge'), 0, 'the CA was told nothing')
  t.match(ordersIn(trial), [/\.json$/, /\.key\.pem$/])
  rmSync(join(web, '.well-known'))
  succeeded(t, await run([], here))
  t.equal(ca.count('newOrder'), 1)
  t.same(ordersIn(trial), [])
})

t.test('a name that could not be proven ends the order', async (t) => {
  const trial = await setUp(t)
  trial.ca.manners.unprovable = { 'a.example.com': problem(403, 'unauthorized', 'not there') }
  t.match(await trial.run([], here), { code: 1, json: { error: { code: 'CHALLENGE_FAILED' } } })
  t.same(ordersIn(trial), [])
})

t.test('a CA that has not decided in a day is asked anew', async (t) => {
  const trial = await setUp(t)
  const { ca, run } = trial
  ca.manners.processingLooks = Number.POSITIVE_INFINITY
  t.match(await run(['--ca-timeout', '1'], here), { code: 1, json: { error: { code: 'CA_UNAVAILABLE' } } })
  t.match(ordersIn(trial), [/\.json$/, /\.key\.pem$/])
  const [name = ''] = ordersIn(trial)
  const file = join(trial.place.state, 'certificates/a.example.com/orders', name)
  const order = JSON.parse(readFileSync(file, 'utf8')) as object
  writeFileSync(file, JSON.stringify({ ...order, placedAt: new Date(Date.now() - 25 * 3_600_000).toISOString() }))
  // The order that is there stays undecided.
  const stuck = ca.count('order')
  const decide = () => {
    ca.manners.processingLooks = 0
    return undefined
  }
  ca.onRequest(1, decide, { kind: 'newOrder' })
  succeeded(t, await run([], here))
  t.ok(ca.count('order') > stuck)
  t.equal(ca.count('newOrder'), 2)
  t.same(ordersIn(trial), [])
})

t.test('a CA that has forgotten the account is shown the binding again', async (t) => {
  const trial = await setUp(t)
  const { ca, run, place } = trial
  const key = 'bm90IGEgc2VjcmV0IG9mIGFueWJvZHlz'
  ca.manners.externalAccounts = { 'kid-1': key }
  const file = join(place.folder, 'eab.key')
  writeFileSync(file, `${key}\n`)
  const binding = ['--eab-kid', 'kid-1', '--eab-hmac-key-file', file]
  succeeded(t, await run(binding, here))
  ca.forget()
  succeeded(t, await run([...binding, '--force-renewal'], here))
  rmSync(file)
  succeeded(t, await run([...binding, '--force-renewal'], here), 'and nobody misses the file while it is known')
})

t.test('what was ordered without an address is renewed with the account that it was ordered with', async (t) => {
  const trial = await setUp(t)
  const { ca, run } = trial
  succeeded(t, await run(['--email', 'first@example.com'], here))
  const { length } = ca.accounts
  succeeded(t, await run(['--email', 'another@example.com', '-d', 'c.example.com', '--name', 'c'], here))
  t.equal(ca.accounts.length, length + 1)
  succeeded(t, await run(['--force-renewal'], here))
  t.equal(ca.accounts.length, length + 1)
  t.equal(ca.orders.at(-1)?.account, ca.orders.at(0)?.account)
})

t.test('nothing was given away by any of this', async (t) => testOutput(t))
