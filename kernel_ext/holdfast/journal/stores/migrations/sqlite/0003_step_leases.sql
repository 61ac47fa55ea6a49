-- Steps of one execution that workers of their own have leased: JSON, [{"step", "fence", "owner", "until"}]; NULL when there is none.
-- In the header, so that whoever checks a fence reads one row.

ALTER TABLE execution ADD COLUMN step_leases TEXT;
