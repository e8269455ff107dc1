/** The cloud has one account. */
export const accountId = '1000000000000000'
