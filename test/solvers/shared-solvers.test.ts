// Which orders share a solver, and what one of them takes away.
import t from 'tap'
import { SharedSolvers } from '../../src/solvers/shared-solvers.js'
import type { Solver } from '../../src/solvers/solver.js'
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
