// Which orders share a solver, and what one of them takes away.
import t from 'tap'
import { SharedSolvers } from '../../src/solvers/shared-solvers.js'
import type { Challenge, Solver } from '../../src/solvers/solver.js'
import type { SolverSettings } from '../../src/solvers/solver-settings.js'

const { signal } = new AbortController()

t.test('who shares one', async (t) => {
  const server: SolverSettings = { solver: 'standalone', challenge: 'http-01' }
  const web: SolverSettings = { solver: 'webroot', challenge: 'http-01', webroot: '/srv/www' }
  const cases: readonly (readonly [what: string, one: SolverSettings, other: SolverSettings, share: boolean])[] = [
    ['what is absent and what is undefined', { ...web, httpPort: undefined, execAuth: undefined }, web, true],
    ['in another order', { webroot: '/srv/www', challenge: 'http-01', solver: 'webroot' }, web, true],
    ['another folder', { ...web, webroot: '/srv/other' }, web, false],
    ['a port that is said, and the usual one', { ...server, httpPort: 80 }, server, true],
    ['another port', { ...server, httpPort: 8080 }, server, false],
    [
      'a server, and what has nothing to do with it',
      { ...server, webroot: '/srv', dnsTimeout: 9, tlsPort: 9 },
      server,
      true,
    ],
    ['another challenge', { ...server, challenge: 'tls-alpn-01' }, server, false],
  ]
  for (const [what, one, other, share] of cases) {
    let made = 0
    const solvers = new SharedSolvers(() => {
      made++
      return { answers: 'http-01', present: async () => undefined, cleanUp: async () => undefined } satisfies Solver
    })
    const leases = [await solvers.take(one, signal), await solvers.take(other, signal)]
    t.equal(made, share ? 1 : 2, what)
    for (const { release } of leases) await release()
  }
})

t.test('an answer that two orders need', async (t) => {
  const settings: SolverSettings = { solver: 'webroot', challenge: 'http-01', webroot: '/srv/www' }
  const challenge = (token: string): Challenge => ({
    ...{ type: 'http-01', domain: 'example.com', token, place: `/.well-known/acme-challenge/${token}` },
    value: `${token}.thumbprint`,
  })
  const run = (takesTurns = false) => {
    const gone: string[] = []
    const solvers = new SharedSolvers(() => ({
      ...{ answers: 'http-01', takesTurns, present: async () => undefined },
      cleanUp: async ({ token }) => void gone.push(token),
    }))
    return { gone, solvers }
  }

  t.test('is taken away by the last', async (t) => {
    const { gone, solvers } = run()
    const [one, other] = [await solvers.take(settings, signal), await solvers.take(settings, signal)]
    await one.solver.present(challenge('both'), [], signal)
    await other.solver.present(challenge('both'), [], signal)
    await other.solver.present(challenge('its-own'), [], signal)
    await one.solver.cleanUp(challenge('both'), [], signal)
    await one.release()
    t.same(gone, [])
    await other.solver.cleanUp(challenge('its-own'), [], signal)
    t.same(gone, ['its-own'])
    await other.solver.cleanUp(challenge('both'), [], signal)
    t.same(gone, ['its-own', 'both'])
  })

  t.test('is taken away also where it could not be put there', async (t) => {
    const gone: string[] = []
    const refuses = async () => Promise.reject(new Error('no'))
    const solvers = new SharedSolvers(() => ({
      ...{ answers: 'http-01', present: refuses, cleanUp: async ({ token }) => void gone.push(token) },
    }))
    const { solver } = await solvers.take(settings, signal)
    await t.rejects(solver.present(challenge('one'), [], signal))
    await solver.cleanUp(challenge('one'), [], signal)
    t.same(gone, ['one'])
  })

  t.test('after a crash: by whoever finds it, and not from under an order that has it again', async (t) => {
    const { gone, solvers } = run()
    await solvers.create(settings).cleanUp(challenge('left'), [], signal)
    t.same(gone, ['left'])
    const { solver, release } = await solvers.take(settings, signal)
    await solver.present(challenge('again'), [], signal)
    await solvers.create(settings).cleanUp(challenge('again'), [], signal)
    await solvers.create(settings).cleanUp(challenge('left'), [], signal)
    t.same(gone, ['left', 'left'])
    await solver.cleanUp(challenge('again'), [], signal)
    await release()
    t.same(gone, ['left', 'left', 'again'])
  })

  t.test('is each one’s own where they take turns', async (t) => {
    const { gone, solvers } = run(true)
    const { solver } = await solvers.take(settings, signal)
    await solver.present(challenge('both'), [], signal)
    await solver.present(challenge('both'), [], signal)
    await solver.cleanUp(challenge('both'), [], signal)
    t.same(gone, ['both'])
  })
})
