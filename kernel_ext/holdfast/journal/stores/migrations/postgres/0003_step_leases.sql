-- Steps of one execution that workers of their own have leased: [{"step", "fence", "owner", "until"}]; NULL when there is none.
-- In the header, so that the row lock that puts writers in a row also guards these fences.

ALTER TABLE holdfast.execution ADD COLUMN step_leases JSONB;
